/*
  WannaCry (May 2017), part by part. Strings from the published analyses named at each rule.
  A part inside of a part shows the strings of both, so each rule also asks what kind of file it stands in:
  a PE's Characteristics stand 22 bytes behind its signature, 0x2000 says that it is a library.
  What any text about the worm names (domains, wallets) is a shape, however exact it is.
*/

rule WannaCry_Launcher_DLL
{
    meta:
        author = "Roridula"
        license = "MIT OR Apache-2.0"
        description = "WannaCry's launcher library: what DoublePulsar runs, carries the worm as resource W/101"
        family = "WannaCry"
        confidence = "high"
        reference = "https://www.secureworks.com/research/wcry-ransomware-analysis"
    strings:
        $export = "PlayGame" fullword
        $library = "launcher.dll" fullword
        $drop = "mssecsvc.exe" fullword
        $path = "C:\\%s\\%s"
        $windows = "WINDOWS" fullword
    condition:
        uint16(0) == 0x5A4D and
        uint32(uint32(0x3C)) == 0x4550 and
        uint16(uint32(0x3C) + 22) & 0x2000 != 0 and
        $export and
        ($library or $drop or ($path and $windows))
}

rule WannaCry_Worm_EXE
{
    meta:
        author = "Roridula"
        license = "MIT OR Apache-2.0"
        description = "WannaCry's worm: spreads, installs the service mssecsvc2.0, carries the ransomware as resource R/1831"
        family = "WannaCry"
        confidence = "high"
        reference = "https://www.secureworks.com/research/wcry-ransomware-analysis"
    strings:
        $service = "mssecsvc2.0" fullword
        $title = "Microsoft Security Center (2.0) Service" fullword
        $argument = "%s -m security"
        $moved = "qeriuwjhrf"
        $drop = "tasksche.exe" fullword
    condition:
        uint16(0) == 0x5A4D and
        uint32(uint32(0x3C)) == 0x4550 and
        uint16(uint32(0x3C) + 22) & 0x2000 == 0 and
        ($service or $title) and
        2 of them
}

rule WannaCry_Kill_Switch_Domain
{
    meta:
        author = "Roridula"
        license = "MIT OR Apache-2.0"
        description = "A domain that stops WannaCry's worm when it answers"
        family = "WannaCry"
        confidence = "low"
        reference = "https://blog.talosintelligence.com/wannacry/"
    strings:
        $first = "iuqerfsodp9ifjaposdfjhgosurijfaewrwergwea." nocase
        $second = "ifferfsodp9ifjaposdfjhgosurijfaewrwergwea." nocase
        $third = "ayylmaotjhsstasdfasdfasdfasdfasdfasdfasdf." nocase
    condition:
        any of them
}

rule WannaCry_Ransomware_EXE
{
    meta:
        author = "Roridula"
        license = "MIT OR Apache-2.0"
        description = "WannaCry's ransomware (tasksche.exe): unpacks its tools from a ZIP with a published password"
        family = "WannaCry"
        confidence = "high"
        reference = "https://www.secureworks.com/research/wcry-ransomware-analysis"
    strings:
        $password = "WNcry@2ol7" fullword
        $mutex = "Global\\MsWinZonesCacheCounterMutexA"
        $grant = "icacls . /grant Everyone:F /T /C /Q"
        $magic = "WANACRY!"
        $name = "WanaCrypt0r" wide
        $self = "tasksche.exe" fullword
        $tool = "taskse.exe"
        $module = "t.wnry" fullword
    condition:
        uint16(0) == 0x5A4D and
        uint32(uint32(0x3C)) == 0x4550 and
        uint16(uint32(0x3C) + 22) & 0x2000 == 0 and
        ($password or $mutex or $grant) and
        3 of them
}

rule WannaCry_Tools_ZIP
{
    meta:
        author = "Roridula"
        license = "MIT OR Apache-2.0"
        description = "WannaCry's archive of tools and ransom notes, by its members' names"
        family = "WannaCry"
        confidence = "high"
        reference = "https://www.secureworks.com/research/wcry-ransomware-analysis"
    strings:
        $b = "b.wnry"
        $c = "c.wnry"
        $r = "r.wnry"
        $s = "s.wnry"
        $t = "t.wnry"
        $u = "u.wnry"
        $note = /msg\/m_[a-z ()]{4,24}\.wnry/
        $taskdl = "taskdl.exe"
        $taskse = "taskse.exe"
    condition:
        uint32(0) == 0x04034B50 and
        3 of them
}

rule WannaCry_Wallet
{
    meta:
        author = "Roridula"
        license = "MIT OR Apache-2.0"
        description = "A wallet that WannaCry's victims were told to pay to"
        family = "WannaCry"
        confidence = "low"
        reference = "https://www.secureworks.com/research/wcry-ransomware-analysis"
    strings:
        $a = "115p7UMMngoj1pMvkpHijcRdfJNXj6LrLn" fullword
        $b = "12t9YDPgwueZ9NyMgw519p7AA8isjr6SMw" fullword
        $c = "13AM4VW2dhxYgXeQepoHkHSQuy6NgaEb94" fullword
    condition:
        any of them
}
