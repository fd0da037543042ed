/* What fetches and runs something else, by the commands and functions that it names. A shape, not a family. */

rule Dropper_Download_Command
{
    meta:
        author = "Roridula"
        license = "MIT OR Apache-2.0"
        description = "A command line that fetches a file with a tool of Windows itself"
        family = "Dropper"
        confidence = "low"
        reference = "https://attack.mitre.org/techniques/T1105/"
    strings:
        $certutil = /certutil(\.exe)?[ ]{1,4}[^\r\n\x00]{0,64}-urlcache/ nocase ascii wide
        $bitsadmin = /bitsadmin(\.exe)?[ ]{1,4}\/transfer/ nocase ascii wide
        $regsvr32 = /regsvr32(\.exe)?[ ]{1,4}[^\r\n\x00]{0,64}\/i:https?:/ nocase ascii wide
        $mshta = /mshta(\.exe)?[ ]{1,4}https?:/ nocase ascii wide
        $powershell = "DownloadString(" nocase ascii wide
        $powershell_file = "DownloadFile(" nocase ascii wide
        $wmic = /process call create[^\r\n\x00]{0,64}powershell/ nocase ascii wide
    condition:
        any of ($certutil, $bitsadmin, $regsvr32, $mshta, $wmic) or
        (any of ($powershell*) and filesize < 1MB)
}

rule Dropper_Download_And_Run
{
    meta:
        author = "Roridula"
        license = "MIT OR Apache-2.0"
        description = "A small PE that downloads to a file and runs a command"
        family = "Dropper"
        confidence = "low"
        reference = "https://attack.mitre.org/techniques/T1105/"
    strings:
        $download1 = "URLDownloadToFileA" fullword
        $download2 = "URLDownloadToFileW" fullword
        $shell = "cmd.exe /c" nocase ascii wide
        $shell_short = "cmd /c" nocase ascii wide
        $run1 = "WinExec" fullword
        $run2 = "ShellExecuteA" fullword
        $run3 = "ShellExecuteW" fullword
        $run4 = "CreateProcessA" fullword
    condition:
        uint16(0) == 0x5A4D and
        filesize < 1MB and
        any of ($download*) and
        any of ($shell*, $run*)
}

rule Dropper_Encoded_PowerShell
{
    meta:
        author = "Roridula"
        license = "MIT OR Apache-2.0"
        description = "A command line that hands PowerShell its script in Base64"
        family = "Dropper"
        confidence = "low"
        reference = "https://attack.mitre.org/techniques/T1059/001/"
    strings:
        $encoded = /powershell(\.exe)?[ ]{1,4}[^\r\n\x00]{0,64}-e[a-z]{0,14}[ ]{1,4}['"]?[A-Za-z0-9+\/=]{32}/ nocase ascii wide
    condition:
        $encoded
}

rule Dropper_Shell_Download
{
    meta:
        author = "Roridula"
        license = "MIT OR Apache-2.0"
        description = "A shell command that fetches a file and runs it"
        family = "Dropper"
        confidence = "low"
        reference = "https://attack.mitre.org/techniques/T1059/004/"
    strings:
        $wget = /wget[ ]{1,4}[^\r\n\x00]{0,160}(https?|ftp):\/\/[^\r\n\x00]{1,160}[|;&][ ]{0,4}(sudo[ ]{1,4})?(ba|da|a)?sh[ \r\n\x00;&]/ ascii
        $curl = /curl[ ]{1,4}[^\r\n\x00]{0,160}(https?|ftp):\/\/[^\r\n\x00]{1,160}[|;&][ ]{0,4}(sudo[ ]{1,4})?(ba|da|a)?sh[ \r\n\x00;&]/ ascii
        $chmod_wget = /wget[ ]{1,4}[^\r\n\x00]{0,160}(https?|ftp):\/\/[^\x00]{1,240}chmod[ ]{1,4}(\+x|[0-7]{3,4})/ ascii
        $chmod_curl = /curl[ ]{1,4}[^\r\n\x00]{0,160}(https?|ftp):\/\/[^\x00]{1,240}chmod[ ]{1,4}(\+x|[0-7]{3,4})/ ascii
    condition:
        filesize < 1MB and any of them
}
