//! Names of numbers ([MS-CIFS] 2.2.2, [MS-SMB] 2.2, [MS-NLMP] 2.2.2.5, [MS-ERREF] 2.3).

use crate::wire::smb1;
use crate::wire::status::Status;

/// A command's name without `SMB_COM_`.
pub(super) const fn command(command: u8) -> &'static str {
    match command {
        0x00 => "CREATE_DIRECTORY",
        0x01 => "DELETE_DIRECTORY",
        0x02 => "OPEN",
        0x03 => "CREATE",
        smb1::CLOSE => "CLOSE",
        0x05 => "FLUSH",
        0x06 => "DELETE",
        0x07 => "RENAME",
        0x08 => "QUERY_INFORMATION",
        0x09 => "SET_INFORMATION",
        0x0a => "READ",
        0x0b => "WRITE",
        0x10 => "CHECK_DIRECTORY",
        0x1a => "READ_RAW",
        0x1d => "WRITE_RAW",
        0x24 => "LOCKING_ANDX",
        smb1::TRANSACTION => "TRANSACTION",
        smb1::TRANSACTION_SECONDARY => "TRANSACTION_SECONDARY",
        0x27 => "IOCTL",
        smb1::ECHO => "ECHO",
        0x2d => "OPEN_ANDX",
        smb1::READ_ANDX => "READ_ANDX",
        smb1::WRITE_ANDX => "WRITE_ANDX",
        smb1::TRANSACTION2 => "TRANSACTION2",
        smb1::TRANSACTION2_SECONDARY => "TRANSACTION2_SECONDARY",
        0x34 => "FIND_CLOSE2",
        0x70 => "TREE_CONNECT",
        smb1::TREE_DISCONNECT => "TREE_DISCONNECT",
        smb1::NEGOTIATE => "NEGOTIATE",
        smb1::SESSION_SETUP_ANDX => "SESSION_SETUP_ANDX",
        smb1::LOGOFF_ANDX => "LOGOFF_ANDX",
        smb1::TREE_CONNECT_ANDX => "TREE_CONNECT_ANDX",
        smb1::NT_TRANSACT => "NT_TRANSACT",
        smb1::NT_TRANSACT_SECONDARY => "NT_TRANSACT_SECONDARY",
        smb1::NT_CREATE_ANDX => "NT_CREATE_ANDX",
        smb1::NT_CANCEL => "NT_CANCEL",
        smb1::NO_ANDX => "no further command",
        _ => "unknown command",
    }
}

/// A TRANSACTION's subcommand.
pub(super) const fn trans(function: u16) -> &'static str {
    match function {
        0x0001 => "SET_NMPIPE_STATE",
        0x0011 => "RAW_READ_NMPIPE",
        0x0021 => "QUERY_NMPIPE_STATE",
        0x0022 => "QUERY_NMPIPE_INFO",
        0x0023 => "PEEK_NMPIPE",
        0x0026 => "TRANSACT_NMPIPE",
        0x0031 => "RAW_WRITE_NMPIPE",
        0x0036 => "READ_NMPIPE",
        0x0037 => "WRITE_NMPIPE",
        0x0053 => "WAIT_NMPIPE",
        0x0054 => "CALL_NMPIPE",
        _ => "unknown subcommand",
    }
}

/// A TRANSACTION2's subcommand.
pub(super) const fn trans2(function: u16) -> &'static str {
    match function {
        0x0000 => "OPEN2",
        0x0001 => "FIND_FIRST2",
        0x0002 => "FIND_NEXT2",
        0x0003 => "QUERY_FS_INFORMATION",
        0x0004 => "SET_FS_INFORMATION",
        0x0005 => "QUERY_PATH_INFORMATION",
        0x0006 => "SET_PATH_INFORMATION",
        0x0007 => "QUERY_FILE_INFORMATION",
        0x0008 => "SET_FILE_INFORMATION",
        0x000d => "CREATE_DIRECTORY",
        0x000e => "SESSION_SETUP",
        0x0010 => "GET_DFS_REFERRAL",
        _ => "unknown subcommand",
    }
}

/// An NT_TRANSACT's function.
pub(super) const fn nt_transact(function: u16) -> &'static str {
    match function {
        1 => "CREATE",
        2 => "IOCTL",
        3 => "SET_SECURITY_DESC",
        4 => "NOTIFY_CHANGE",
        5 => "RENAME",
        6 => "QUERY_SECURITY_DESC",
        _ => "unknown function",
    }
}

/// A status as it stands in a header.
pub(super) const fn status(status: u32) -> &'static str {
    match Status(status) {
        Status::SUCCESS => "STATUS_SUCCESS",
        Status::MORE_PROCESSING_REQUIRED => "STATUS_MORE_PROCESSING_REQUIRED",
        Status::NOT_IMPLEMENTED => "STATUS_NOT_IMPLEMENTED",
        Status::INVALID_HANDLE => "STATUS_INVALID_HANDLE",
        Status::INVALID_PARAMETER => "STATUS_INVALID_PARAMETER",
        Status::ACCESS_DENIED => "STATUS_ACCESS_DENIED",
        Status::LOGON_FAILURE => "STATUS_LOGON_FAILURE",
        Status::ACCOUNT_DISABLED => "STATUS_ACCOUNT_DISABLED",
        Status::BAD_DEVICE_TYPE => "STATUS_BAD_DEVICE_TYPE",
        Status::BAD_NETWORK_NAME => "STATUS_BAD_NETWORK_NAME",
        Status::PIPE_EMPTY => "STATUS_PIPE_EMPTY",
        Status::NOT_SUPPORTED => "STATUS_NOT_SUPPORTED",
        Status::INSUFF_SERVER_RESOURCES => "STATUS_INSUFF_SERVER_RESOURCES",
        Status::NOT_FOUND => "STATUS_NOT_FOUND",
        Status::INVALID_SMB => "STATUS_INVALID_SMB",
        Status::SMB_BAD_TID => "STATUS_SMB_BAD_TID",
        Status::SMB_BAD_COMMAND => "STATUS_SMB_BAD_COMMAND",
        Status::SMB_BAD_UID => "STATUS_SMB_BAD_UID",
        _ => "",
    }
}

/// SMB_Header.Flags.
pub(super) const FLAGS: &[(u32, &str)] = &[
    (0x01, "LOCK_AND_READ_OK"),
    (0x02, "BUF_AVAIL"),
    (0x08, "CASE_INSENSITIVE"),
    (0x10, "CANONICALIZED_PATHS"),
    (0x20, "OPLOCK"),
    (0x40, "OPBATCH"),
    (0x80, "REPLY"),
];

/// SMB_Header.Flags2.
pub(super) const FLAGS2: &[(u32, &str)] = &[
    (0x0001, "LONG_NAMES"),
    (0x0002, "EAS"),
    (0x0004, "SECURITY_SIGNATURE"),
    (0x0008, "COMPRESSED"),
    (0x0010, "SECURITY_SIGNATURE_REQUIRED"),
    (0x0040, "IS_LONG_NAME"),
    (0x0400, "REPARSE_PATH"),
    (0x0800, "EXTENDED_SECURITY"),
    (0x1000, "DFS"),
    (0x2000, "PAGING_IO"),
    (0x4000, "NT_STATUS"),
    (0x8000, "UNICODE"),
];

/// Capabilities ([MS-CIFS] 2.2.4.52.2, [MS-SMB] 2.2.4.5.2.1).
pub(super) const CAPABILITIES: &[(u32, &str)] = &[
    (0x0000_0001, "RAW_MODE"),
    (0x0000_0002, "MPX_MODE"),
    (0x0000_0004, "UNICODE"),
    (0x0000_0008, "LARGE_FILES"),
    (0x0000_0010, "NT_SMBS"),
    (0x0000_0020, "RPC_REMOTE_APIS"),
    (0x0000_0040, "STATUS32"),
    (0x0000_0080, "LEVEL_II_OPLOCKS"),
    (0x0000_0100, "LOCK_AND_READ"),
    (0x0000_0200, "NT_FIND"),
    (0x0000_0400, "BULK_TRANSFER"),
    (0x0000_0800, "COMPRESSED_DATA"),
    (0x0000_1000, "DFS"),
    (0x0000_2000, "INFOLEVEL_PASSTHRU"),
    (0x0000_4000, "LARGE_READX"),
    (0x0000_8000, "LARGE_WRITEX"),
    (0x0001_0000, "LWIO"),
    (0x0080_0000, "UNIX"),
    (0x0200_0000, "COMPRESSED"),
    (0x2000_0000, "DYNAMIC_REAUTH"),
    (0x4000_0000, "PERSISTENT_HANDLES"),
    (0x8000_0000, "EXTENDED_SECURITY"),
];

/// SecurityMode of a negotiate reply.
pub(super) const SECURITY_MODE: &[(u32, &str)] = &[
    (0x01, "USER_SECURITY"),
    (0x02, "ENCRYPT_PASSWORDS"),
    (0x04, "SECURITY_SIGNATURES_ENABLED"),
    (0x08, "SECURITY_SIGNATURES_REQUIRED"),
];

/// Flags of TREE_CONNECT_ANDX.
pub(super) const TREE_FLAGS: &[(u32, &str)] =
    &[(0x0001, "DISCONNECT_TID"), (0x0004, "EXTENDED_SIGNATURES"), (0x0008, "EXTENDED_RESPONSE")];

/// OptionalSupport of a tree connect reply.
pub(super) const TREE_SUPPORT: &[(u32, &str)] =
    &[(0x0001, "SUPPORT_SEARCH_BITS"), (0x0002, "SHARE_IS_IN_DFS"), (0x0010, "UNIQUE_FILE_NAME")];

/// Flags of NT_CREATE_ANDX.
pub(super) const CREATE_FLAGS: &[(u32, &str)] = &[
    (0x02, "REQUEST_OPLOCK"),
    (0x04, "REQUEST_OPBATCH"),
    (0x08, "OPEN_TARGET_DIR"),
    (0x10, "REQUEST_EXTENDED_RESPONSE"),
];

/// Flags of a transaction.
pub(super) const TRANS_FLAGS: &[(u32, &str)] = &[(0x0001, "DISCONNECT_TID"), (0x0002, "NO_RESPONSE")];

/// NegotiateFlags of NTLMSSP, those that tell clients apart.
pub(super) const NTLM_FLAGS: &[(u32, &str)] = &[
    (0x0000_0001, "UNICODE"),
    (0x0000_0002, "OEM"),
    (0x0000_0004, "REQUEST_TARGET"),
    (0x0000_0010, "SIGN"),
    (0x0000_0020, "SEAL"),
    (0x0000_0080, "LM_KEY"),
    (0x0000_0200, "NTLM"),
    (0x0000_0800, "ANONYMOUS"),
    (0x0000_1000, "OEM_DOMAIN_SUPPLIED"),
    (0x0000_2000, "OEM_WORKSTATION_SUPPLIED"),
    (0x0000_8000, "ALWAYS_SIGN"),
    (0x0001_0000, "TARGET_TYPE_DOMAIN"),
    (0x0002_0000, "TARGET_TYPE_SERVER"),
    (0x0008_0000, "EXTENDED_SESSIONSECURITY"),
    (0x0080_0000, "TARGET_INFO"),
    (0x0200_0000, "VERSION"),
    (0x2000_0000, "128"),
    (0x4000_0000, "KEY_EXCH"),
    (0x8000_0000, "56"),
];
