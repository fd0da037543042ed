//! Status codes ([MS-ERREF] 2.3) and how SMB1 carries them.

/// A status as the 32-bit number that stands in the header. The STATUS_SMB_* ones are DOS class and code in
/// disguise (class in the lowest byte), the same bytes in both forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u32);

impl Status {
    /// Success.
    pub const SUCCESS: Self = Self(0);
    /// A logon takes another round.
    pub const MORE_PROCESSING_REQUIRED: Self = Self(0xc000_0016);
    /// The subcommand does not exist here; what TRANS2 SESSION_SETUP gets from any Windows.
    pub const NOT_IMPLEMENTED: Self = Self(0xc000_0002);
    /// No such FID.
    pub const INVALID_HANDLE: Self = Self(0xc000_0008);
    /// A field makes no sense.
    pub const INVALID_PARAMETER: Self = Self(0xc000_000d);
    /// Not for this session.
    pub const ACCESS_DENIED: Self = Self(0xc000_0022);
    /// No such account, or a wrong password.
    pub const LOGON_FAILURE: Self = Self(0xc000_006d);
    /// The account exists but may not be used (Guest, by default).
    pub const ACCOUNT_DISABLED: Self = Self(0xc000_0072);
    /// The service type does not fit the share.
    pub const BAD_DEVICE_TYPE: Self = Self(0xc000_00cb);
    /// No such share.
    pub const BAD_NETWORK_NAME: Self = Self(0xc000_00cc);
    /// Nothing in the pipe.
    pub const PIPE_EMPTY: Self = Self(0xc000_00d9);
    /// Not for this kind of object.
    pub const NOT_SUPPORTED: Self = Self(0xc000_00bb);
    /// What an unpatched host answers to PeekNamedPipe on FID 0: the check for MS17-010.
    pub const INSUFF_SERVER_RESOURCES: Self = Self(0xc000_0205);
    /// No DFS here.
    pub const NOT_FOUND: Self = Self(0xc000_0225);
    /// The message is no valid SMB.
    pub const INVALID_SMB: Self = Self(0x0001_0002);
    /// No such TID.
    pub const SMB_BAD_TID: Self = Self(0x0005_0002);
    /// No such command.
    pub const SMB_BAD_COMMAND: Self = Self(0x0016_0002);
    /// No such UID.
    pub const SMB_BAD_UID: Self = Self(0x005b_0002);

    /// Whether it is one that carries DOS class and code in the same bytes.
    pub const fn is_smb(self) -> bool {
        self.0 & 0xff00_ffff == 2
    }

    /// The DOS error (class, code) that Windows gives a client without 32-bit status codes ([MS-CIFS] 2.2.2.4);
    /// `None` where Windows has none and sends the NTSTATUS all the same.
    pub const fn dos(self) -> Option<(u8, u16)> {
        match self {
            Self::NOT_IMPLEMENTED => Some((1, 1)),
            Self::INVALID_HANDLE => Some((1, 6)),
            Self::ACCESS_DENIED => Some((1, 5)),
            Self::INVALID_PARAMETER => Some((1, 87)),
            Self::LOGON_FAILURE => Some((2, 2)),
            Self::ACCOUNT_DISABLED => Some((2, 2239)),
            Self::BAD_DEVICE_TYPE => Some((2, 7)),
            Self::BAD_NETWORK_NAME => Some((2, 6)),
            Self::PIPE_EMPTY => Some((1, 232)),
            Self::NOT_SUPPORTED => Some((1, 50)),
            _ => None,
        }
    }
}
