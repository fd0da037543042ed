/*
  What comes through DoublePulsar and EternalBlue, by structure: a size at its published offset, and the size copied
  to user mode that belongs to it or a PE where the loader ends. No code byte is looked at.
*/

rule DoublePulsar_Upload_x86
{
    meta:
        author = "Roridula"
        license = "MIT OR Apache-2.0"
        description = "An upload through DoublePulsar for 32-bit Windows: a loader of 4869 bytes, its file behind it"
        family = "DoublePulsar"
        confidence = "low"
        reference = "https://www.secureworks.com/research/wcry-ransomware-analysis"
    condition:
        filesize > 0x1345 and
        uint32(0x12FD) >= 0x200 and
        (
            uint32(0x591) == uint32(0x12FD) + 3440 or
            (
                uint32(0x12FD) <= filesize and
                uint16(0x1305) == 0x5A4D and
                uint32(0x1305 + 0x3C) < filesize and
                uint32(0x1305 + uint32(0x1305 + 0x3C)) == 0x4550
            )
        )
}

rule DoublePulsar_Upload_x64
{
    meta:
        author = "Roridula"
        license = "MIT OR Apache-2.0"
        description = "An upload through DoublePulsar for 64-bit Windows: a loader of 6144 bytes, its file behind it"
        family = "DoublePulsar"
        confidence = "low"
        reference = "https://www.secureworks.com/research/wcry-ransomware-analysis"
    condition:
        filesize > 0x1840 and
        uint32(0x17F8) >= 0x200 and
        (
            uint32(0x86E) == uint32(0x17F8) + 3978 or
            (
                uint32(0x17F8) <= filesize and
                uint16(0x1800) == 0x5A4D and
                uint32(0x1800 + 0x3C) < filesize and
                uint32(0x1800 + uint32(0x1800 + 0x3C)) == 0x4550
            )
        )
}

rule DoublePulsar_Small_DLL
{
    meta:
        author = "Roridula"
        license = "MIT OR Apache-2.0"
        description = "A library of 60 to 100 KB behind DoublePulsar's loader: the size of later worms' downloaders"
        family = "DoublePulsar"
        confidence = "low"
        reference = "https://github.com/DinoTools/dionaea/issues/240"
    condition:
        (
            uint32(0x12FD) >= 60000 and uint32(0x12FD) <= 102400 and
            uint16(0x1305) == 0x5A4D and
            uint32(0x1305 + 0x3C) < filesize and
            uint32(0x1305 + uint32(0x1305 + 0x3C)) == 0x4550 and
            uint16(0x1305 + uint32(0x1305 + 0x3C) + 22) & 0x2000 != 0
        ) or (
            uint32(0x17F8) >= 60000 and uint32(0x17F8) <= 102400 and
            uint16(0x1800) == 0x5A4D and
            uint32(0x1800 + 0x3C) < filesize and
            uint32(0x1800 + uint32(0x1800 + 0x3C)) == 0x4550 and
            uint16(0x1800 + uint32(0x1800 + 0x3C) + 22) & 0x2000 != 0
        )
}

rule EternalBlue_Filler
{
    meta:
        author = "Roridula"
        license = "MIT OR Apache-2.0"
        description = "Filler text of the EternalBlue packets that WannaCry replays"
        family = "EternalBlue"
        confidence = "medium"
        reference = "https://community.emergingthreats.net (ET 2024217, ET 2024218)"
    strings:
        $buffer = "h6agLCqPqVyXi2VSQ8O6Yb9ijBX54j"
        $echo = "JlJmIhClBsr"
    condition:
        any of them
}
