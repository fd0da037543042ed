/* What is packed. No family: everybody packs. */

rule Packed_UPX
{
    meta:
        author = "Roridula"
        license = "MIT OR Apache-2.0"
        description = "A PE that was packed with UPX, by its sections' names and UPX's own mark"
        reference = "https://upx.github.io/"
        confidence = "high"
    strings:
        $first = "UPX0"
        $second = "UPX1"
        $mark = "UPX!"
    condition:
        uint16(0) == 0x5A4D and
        $first in (0..1024) and
        $second in (0..1024) and
        $mark in (0..4096)
}
