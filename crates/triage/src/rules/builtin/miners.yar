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
        description = "A miner's work by Stratum: two of the protocol, a public pool and what mining software says"
        family = "Miner"
        confidence = "medium"
        reference = "https://github.com/xmrig/xmrig-proxy/blob/master/doc/STRATUM.md"
    strings:
        $protocol1 = /stratum\+(tcp|ssl|tls):\/\// ascii wide
        $protocol2 = "\"method\":\"login\""
        $protocol3 = "mining.subscribe"
        $pool1 = "minexmr.com" ascii wide
        $pool2 = "supportxmr.com" ascii wide
        $pool3 = "crypto-pool.fr" ascii wide
        $pool4 = "nanopool.org" ascii wide
        $pool5 = "moneroocean.stream" ascii wide
        $pool6 = "hashvault.pro" ascii wide
        $pool7 = "minergate.com" ascii wide
        $miner1 = "cryptonight" nocase ascii wide
        $miner2 = "randomx" nocase ascii wide
        $miner3 = "hashrate" nocase ascii wide
        $miner4 = "--donate-level" ascii wide
        $miner5 = "nicehash" nocase ascii wide
    condition:
        filesize < 64MB and
        // Each alone stands in block lists, monitoring tools and texts about mining.
        (
            (any of ($protocol*) and any of ($pool*)) or
            (any of ($protocol*) and any of ($miner*)) or
            (any of ($pool*) and any of ($miner*))
        )
}
