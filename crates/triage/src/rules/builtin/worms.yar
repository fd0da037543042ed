/* Other worms that come over SMB. */

rule NotPetya_DLL
{
    meta:
        author = "Roridula"
        license = "MIT OR Apache-2.0"
        description = "NotPetya (June 2017): its ransom address, its wallet, its own file name or its scheduled restart"
        family = "NotPetya"
        confidence = "high"
        reference = "https://www.cisa.gov/news-events/alerts/2017/07/01/petya-ransomware"
    strings:
        $address = "wowsmith123456@posteo.net" ascii wide
        $wallet = "1Mz7153HMuxXTuR2R1t78mGSdzaAtNbBWX" ascii wide
        $file = "perfc.dat" ascii wide nocase
        $restart = "shutdown.exe /r /f" ascii wide nocase
        $at = "schtasks %ws/Create /SC once /TN \"\" /TR" ascii wide
        $logs = "wevtutil cl Setup & wevtutil cl System" ascii wide
        $journal = "fsutil usn deletejournal /D %c:" ascii wide
    condition:
        $address or $wallet or 2 of ($file, $restart, $at, $logs, $journal)
}

rule Conficker_Markers
{
    meta:
        author = "Roridula"
        license = "MIT OR Apache-2.0"
        description = "Conficker: the sites that it asks for its own address and the date, and what its first build fetched"
        family = "Conficker"
        confidence = "medium"
        reference = "http://www.csl.sri.com/users/vinod/papers/Conficker/"
    strings:
        $address1 = "www.getmyip.org"
        $address2 = "www.whatsmyipaddress.com"
        $address3 = "getmyip.co.uk"
        $address4 = "checkip.dyndns.org"
        $fetched1 = "trafficconverter.biz"
        $fetched2 = "loadadv.exe"
        $geo = "/download/geoip/database/GeoIP.dat.gz"
        $service = "\\\\.\\pipe\\System_%s%d" nocase
    condition:
        all of ($fetched*) or
        $service or
        (1 of ($fetched*, $geo) and 1 of ($address*)) or
        3 of ($address*)
}
