//! The Windows that we play: what is the same on every machine of that kind.

/// Field values of one Windows version, as seen on the wire from real hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persona {
    /// How the configuration names it.
    pub name: &'static str,
    /// NativeOS of the session setup ([MS-CIFS] 2.2.4.53.2).
    pub native_os: &'static str,
    /// NativeLanMan of the session setup.
    pub native_lan_manager: &'static str,
    /// MaxBufferSize of the negotiate ([MS-CIFS] 2.2.4.52.2).
    pub max_buffer: u32,
    /// SecurityMode: user level, challenge and response; signing not required.
    pub security_mode: u8,
    /// Capabilities without extended security.
    pub capabilities: u32,
    /// The NTLM VERSION structure ([MS-NLMP] 2.2.2.10).
    pub ntlm_version: [u8; 8],
    /// What a patched machine answers to PeekNamedPipe on FID 0.
    pub patched_peek_status: u32,
}

impl Persona {
    /// A workgroup workstation, Windows 7 Professional SP1: the host that the 2017 worms looked for.
    pub const WINDOWS_7_SP1: Self = Self {
        name: "windows-7-sp1",
        native_os: "Windows 7 Professional 7601 Service Pack 1",
        native_lan_manager: "Windows 7 Professional 6.1",
        max_buffer: 4356,
        security_mode: 0x03,
        capabilities: 0x0001_e3fc,
        // Windows constant, [MS-NLMP] 2.2.2.10: 6.1.7601, revision 15.
        ntlm_version: [0x06, 0x01, 0xb1, 0x1d, 0, 0, 0, 0x0f],
        patched_peek_status: 0xc000_0008,
    };

    /// A standalone server, Windows Server 2008 R2 SP1.
    pub const WINDOWS_SERVER_2008_R2: Self = Self {
        name: "windows-server-2008-r2",
        native_os: "Windows Server 2008 R2 Standard 7601 Service Pack 1",
        native_lan_manager: "Windows Server 2008 R2 Standard 6.1",
        max_buffer: 16_644,
        security_mode: 0x03,
        capabilities: 0x0001_f3fc,
        // Windows constant, [MS-NLMP] 2.2.2.10: 6.1.7601, revision 15.
        ntlm_version: [0x06, 0x01, 0xb1, 0x1d, 0, 0, 0, 0x0f],
        patched_peek_status: 0xc000_0008,
    };

    /// All of them.
    pub const ALL: &[Self] = &[Self::WINDOWS_7_SP1, Self::WINDOWS_SERVER_2008_R2];

    /// The one that the configuration names.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|persona| persona.name == name).cloned()
    }
}
