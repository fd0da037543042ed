//! Names that are known, with what is known of them.

/// Kill-switch domains, and which one. Sources: NSFOCUS "WannaCry" (2017), M. Suiche "WannaCry: New Variants
/// Detected!" (Comae, 2017-05-14 and 15), M. Hutchins "How to Accidentally Stop a Global Cyber Attacks"
/// (2017-05-13).
pub(super) const KILL_SWITCHES: &[(&str, &str)] = &[
    (ORIGINAL, "the 2017 original's"),
    ("www.ifferfsodp9ifjaposdfjhgosurijfaewrwergwea.com", "the variant's of 2017-05-14"),
    ("www.ayylmaotjhsstasdfasdfasdfasdfasdfasdfasdf.com", "the variant's of 2017-05-15"),
];
/// The first one.
pub(super) const ORIGINAL: &str = "www.iuqerfsodp9ifjaposdfjhgosurijfaewrwergwea.com";
/// Characters that may differ for a domain to be called a relative of [`ORIGINAL`].
pub(super) const RELATIVE_MAX: usize = 12;

/// Notes on what was done to one.
pub(in crate::facts) const PATCHED: &str = "its check was patched out";
pub(in crate::facts) const UNASKED: &str = "nothing asks for it";
pub(in crate::facts) const TURNED_ROUND: &str = "its check was turned round";
pub(in crate::facts) const UNPUBLISHED: &str = "none that was published";
pub(in crate::facts) const ZEROED: &str = "zeroed: the original has its URL here";
pub(in crate::facts) const BROKEN: &str = "what is asked for is no URL any more";

/// The family whose worm asks for a kill switch.
pub(super) const WORM: &str = "WannaCry";
/// Services, and whose. WannaCry's by Symantec's and Talos' reports of May 2017; the second by Sophos 2019.
pub(super) const SERVICES: &[(&str, &str)] = &[("mssecsvc2.0", WORM), ("mssecsvc2.1", "WannaCry variant")];

/// What names of objects start with that are one for all, or for one session.
pub(super) const NAME_SPACES: &[&str] = &["Global\\", "Local\\"];
/// Mutexes without a namespace in front, and whose. Source: D. Stevens, "WannaCry Simple File Analysis" (2017).
pub(super) const MUTEXES: &[(&str, &str)] = &[("MsWinZonesCacheCounterMutexA", "WannaCry")];

/// Files, and whose. WannaCry's by Talos and Secureworks (2017), NotPetya's by ESET and Microsoft (2017).
pub(super) const FILES: &[(&str, &str)] = &[
    ("mssecsvc.exe", "WannaCry"),
    ("mssecsvr.exe", "WannaCry variant"),
    ("tasksche.exe", "WannaCry"),
    ("qeriuwjhrf", "WannaCry"),
    ("taskdl.exe", "WannaCry"),
    ("taskse.exe", "WannaCry"),
    ("@WanaDecryptor@.exe", "WannaCry"),
    ("@Please_Read_Me@.txt", "WannaCry"),
    ("00000000.pky", "WannaCry"),
    ("00000000.eky", "WannaCry"),
    ("c.wnry", "WannaCry"),
    ("t.wnry", "WannaCry"),
    ("perfc.dat", "NotPetya"),
    ("dllhost.dat", "NotPetya"),
    ("xmrig.exe", "a miner"),
    ("nssm.exe", "a service wrapper"),
];

/// Addresses to be paid to, and whose. Published by many in May and June 2017.
pub(super) const WALLETS: &[(&str, &str)] = &[
    ("115p7UMMngoj1pMvkpHijcRdfJNXj6LrLn", "WannaCry"),
    ("12t9YDPgwueZ9NyMgw519p7AA8isjr6SMw", "WannaCry"),
    ("13AM4VW2dhxYgXeQepoHkHSQuy6NgaEb94", "WannaCry"),
    ("1Mz7153HMuxXTuR2R1t78mGSdzaAtNbBWX", "NotPetya"),
];

/// What commands start with that tell something.
pub(super) const COMMANDS: &[&str] = &[
    "cmd.exe /c",
    "cmd /c",
    "powershell",
    "schtasks",
    "vssadmin",
    "icacls",
    "attrib +",
    "wevtutil",
    "bcdedit",
    "rundll32",
    "regsvr32",
    "net user",
    "net stop",
    "shutdown",
    "reg add",
    "wmic ",
    "wbadmin",
    "netsh ",
    "taskkill",
    "certutil",
    "bitsadmin",
    "-m security",
    "--donate-level",
    "mshta ",
];

/// Words that make a string worth reading, with a rank.
pub(super) const TELLING: &[(&str, u32)] = &[
    ("mutex", 40),
    ("password", 40),
    ("bitcoin", 40),
    ("monero", 40),
    ("cryptonight", 40),
    ("randomx", 40),
    ("encrypted", 35),
    ("decrypt", 35),
    ("xmrig", 50),
    ("\\\\.\\", 40),
    ("PhysicalDrive", 40),
    ("\\IPC$", 40),
    ("admin$", 40),
    ("CurrentVersion\\Run", 50),
    ("SOFTWARE\\", 30),
    ("SYSTEM\\", 30),
    ("InternetOpenUrl", 30),
    ("URLDownload", 40),
    ("CreateService", 25),
    ("WriteProcessMemory", 25),
    ("CreateRemoteThread", 25),
    ("VirtualAlloc", 15),
    ("User-Agent", 30),
    ("Mozilla/", 30),
    (".exe", 20),
    (".dll", 12),
    (".bat", 20),
    (".vbs", 20),
    (".pdb", 45),
    ("%s", 10),
    ("http", 20),
    ("Service", 12),
];

/// Endings that make a bare name a domain; others are files and name spaces far more often.
pub(super) const TOP_DOMAINS: &[&str] = &[
    "com", "net", "org", "info", "biz", "ru", "cn", "su", "xyz", "top", "onion", "cc", "pw", "club",
    "online", "site", "ws", "tk", "ml", "io", "ua", "kr", "br", "de", "testing", "bit",
];
