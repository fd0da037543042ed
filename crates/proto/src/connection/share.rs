//! Which shares there are and what the null session gets.

use crate::wire::smb1::tree::Request;
use crate::wire::status::Status;

/// Shares that any Windows 7 has, closed to the null session.
const DISK_SHARES: [&str; 3] = ["ADMIN$", "C$", "Users"];

/// What a tree connect gets: success for IPC$ alone.
pub(crate) fn connect(request: &Request) -> Status {
    let share = request.share();
    let service = request.service.0.as_str();
    // WannaCry's byte count stays 28 whatever its path's length: up to two of the five `?` lie outside it.
    let any = service.is_empty() || service.bytes().all(|byte| byte == b'?');
    if share.eq_ignore_ascii_case("IPC$") {
        return if any || service == "IPC" { Status::SUCCESS } else { Status::BAD_DEVICE_TYPE };
    }
    if DISK_SHARES.iter().any(|disk| share.eq_ignore_ascii_case(disk)) {
        return if any || service == "A:" { Status::ACCESS_DENIED } else { Status::BAD_DEVICE_TYPE };
    }
    Status::BAD_NETWORK_NAME
}
