/* Miners of cryptocurrency, by how their software is told what to do. */

rule Miner_XMRig
{
    meta:
        author = "Roridula"
        license = "MIT OR Apache-2.0"
        description = "XMRig or a build of it: its name with its options"
        family = "Miner"
        confidence = "high"
        reference = "https://xmrig.com/docs/miner/command-line-options"
    strings:
        $name = "xmrig" nocase ascii wide
        $donate = "--donate-level" ascii wide
        $donation = "\"donate-level\""
        $nicehash = "--nicehash" ascii wide
        $threads = "--cpu-max-threads-hint" ascii wide
        $algorithm = "cryptonight" ascii wide
        $randomx = "randomx" nocase ascii wide
    condition:
        2 of them
}

rule Miner_Stratum
{
    meta:
        author = "Roridula"
        license = "MIT OR Apache-2.0"
        description = "The Stratum protocol, or a public pool, by which miners get their work"
        family = "Miner"
        confidence = "medium"
        reference = "https://github.com/xmrig/xmrig-proxy/blob/master/doc/STRATUM.md"
    strings:
        $scheme = /stratum\+(tcp|ssl|tls):\/\// ascii wide
        $login = "\"method\":\"login\""
        $subscribe = "mining.subscribe"
        $pool1 = "minexmr.com" ascii wide
        $pool2 = "supportxmr.com" ascii wide
        $pool3 = "crypto-pool.fr" ascii wide
        $pool4 = "nanopool.org" ascii wide
        $pool5 = "moneroocean.stream" ascii wide
        $pool6 = "hashvault.pro" ascii wide
        $pool7 = "minergate.com" ascii wide
    condition:
        $scheme or $subscribe or any of ($pool*) or ($login and filesize < 64MB and uint16(0) == 0x5A4D)
}
