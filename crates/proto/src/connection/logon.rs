//! SESSION_SETUP_ANDX: who gets a session. The null session does, as on any Windows 7; nobody else.

use super::context::Context;
use super::tables::{Session, Table};
use crate::event::{Event, Text};
use crate::wire::ntlmssp::{self, Authenticate, Challenge, Message, hex};
use crate::wire::smb1::Block;
use crate::wire::smb1::header::{FLAGS2_EXTENDED_SECURITY, Header};
use crate::wire::smb1::session_setup::{CAP_STATUS32, Logon, Request};
use crate::wire::spnego::{self, Wrapping};
use crate::wire::status::Status;
use crate::wire::{Malformed, filetime};

/// How a logon was answered.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The UID given, 0 where none was.
    pub(crate) uid: u16,
    /// Success, MORE_PROCESSING_REQUIRED or a refusal.
    pub(crate) status: Status,
    /// The security blob of the long reply; `None` for the short one.
    pub(crate) blob: Option<Vec<u8>>,
}

/// What an event tells of a logon.
#[derive(Default)]
struct Claim {
    method: &'static str,
    account: Text,
    domain: Text,
    workstation: Text,
    response: String,
}

/// What Windows 7 says to a name: Guest is disabled by default, and there is nobody else.
fn judge(account: &Text, anonymous: bool) -> Status {
    if anonymous {
        Status::SUCCESS
    } else if account.0.eq_ignore_ascii_case("guest") {
        Status::ACCOUNT_DISABLED
    } else {
        Status::LOGON_FAILURE
    }
}

/// Carries out one SESSION_SETUP_ANDX.
pub(crate) fn session_setup(
    ctx: &mut Context<'_>,
    sessions: &mut Table<Session>,
    header: &Header,
    block: &Block<'_>,
) -> Result<Answered, Malformed> {
    let request = Request::parse(block, header.is_unicode(), ctx.text_max())?;
    let knows_nt_status = request.capabilities & CAP_STATUS32 != 0;
    let (claim, mut answered) = match &request.logon {
        Logon::Legacy { oem, unicode, account, domain } => {
            legacy(ctx, oem, unicode, account.clone(), domain.clone())
        }
        // Without the bit and without a blob it is the short form after all: the exploit's "hole" connections.
        Logon::Extended { blob } if blob.is_empty() && header.flags2 & FLAGS2_EXTENDED_SECURITY == 0 => {
            legacy(ctx, &[], &[], Text::default(), Text::default())
        }
        Logon::Extended { blob } => extended(ctx, blob),
    };
    if matches!(answered.status, Status::SUCCESS | Status::MORE_PROCESSING_REQUIRED) {
        let held = sessions.get(header.uid).is_some_and(|session| !session.logged_on);
        let uid = if held { Some(header.uid) } else { sessions.insert(Session::default()) };
        match uid {
            Some(uid) => answered.uid = uid,
            None => {
                ctx.limit("sessions_max", u64::from(ctx.decoy.limits.sessions_max));
                answered = Answered { uid: 0, status: Status::INSUFF_SERVER_RESOURCES, blob: None };
            }
        }
        if let Some(session) = sessions.get_mut(answered.uid) {
            session.knows_nt_status = knows_nt_status;
            session.logged_on = answered.status == Status::SUCCESS;
        }
    } else if sessions.get(header.uid).is_some_and(|session| !session.logged_on) {
        sessions.remove(header.uid);
    }
    ctx.tell(Event::Smb1Session {
        method: claim.method.to_owned(),
        account: claim.account,
        domain: claim.domain,
        workstation: claim.workstation,
        native_os: request.native_os,
        native_lan_manager: request.native_lan_manager,
        response: claim.response,
        uid: answered.uid,
        status: answered.status.0,
    });
    Ok(answered)
}

fn legacy(ctx: &Context<'_>, oem: &[u8], unicode: &[u8], account: Text, domain: Text) -> (Claim, Answered) {
    let anonymous = account.0.is_empty();
    let status = judge(&account, anonymous);
    let challenge = ctx.decoy.identity.challenge(ctx.opening.id.0);
    let response = if anonymous || (oem.len() < 24 && unicode.len() < 24) {
        String::new()
    } else {
        let held = Authenticate {
            lm_response: oem,
            nt_response: unicode,
            account: account.clone(),
            domain: domain.clone(),
            workstation: Text::default(),
        };
        let auditable = held.auditable(challenge);
        // LM alone has no form of its own there: both responses as they are.
        if auditable.is_empty() {
            format!("{account}::{domain}:{}::{}", hex(oem), hex(&challenge))
        } else {
            auditable
        }
    };
    let method = if anonymous { "anonymous" } else { "legacy" };
    let claim = Claim { method, account, domain, response, ..Claim::default() };
    (claim, Answered { uid: 0, status, blob: None })
}

fn extended(ctx: &Context<'_>, blob: &[u8]) -> (Claim, Answered) {
    let refused =
        |method, status| (Claim { method, ..Claim::default() }, Answered { uid: 0, status, blob: None });
    let proceed = |method, blob| {
        let status = Status::MORE_PROCESSING_REQUIRED;
        (Claim { method, ..Claim::default() }, Answered { uid: 0, status, blob: Some(blob) })
    };
    let Ok((wrapping, token)) = spnego::token(blob) else {
        return refused("unknown", Status::INVALID_PARAMETER);
    };
    let Some(token) = token else {
        return proceed("spnego", spnego::accept_incomplete(None));
    };
    match ntlmssp::parse(token, ctx.text_max()) {
        Ok(Message::Negotiate { flags }) => {
            let challenge = Challenge {
                client_flags: flags,
                challenge: ctx.decoy.identity.challenge(ctx.opening.id.0),
                computer: &ctx.decoy.identity.computer,
                version: ctx.decoy.persona.ntlm_version,
                now: filetime::from_unix_micros(ctx.wall_clock().0),
            };
            let token = challenge.to_bytes();
            let blob =
                if wrapping == Wrapping::Bare { token } else { spnego::accept_incomplete(Some(&token)) };
            proceed("ntlmssp-negotiate", blob)
        }
        Ok(Message::Authenticate(message)) => {
            let status = judge(&message.account, message.is_anonymous());
            let accepted =
                if wrapping == Wrapping::Bare { Vec::new() } else { spnego::ACCEPT_COMPLETED.to_vec() };
            let response = message.auditable(ctx.decoy.identity.challenge(ctx.opening.id.0));
            let claim = Claim {
                method: "ntlmssp-authenticate",
                account: message.account,
                domain: message.domain,
                workstation: message.workstation,
                response,
            };
            (claim, Answered { uid: 0, status, blob: (status == Status::SUCCESS).then_some(accepted) })
        }
        Ok(Message::Unknown(_)) | Err(_) => refused("unknown", Status::INVALID_PARAMETER),
    }
}
