/*
  What this program sends to itself, so that nobody takes it for news.
*/

rule Roridula_Doctor
{
    meta:
        author = "Roridula"
        license = "MIT OR Apache-2.0"
        description = "The readable text that `roridula doctor` uploads to see whether an upload arrives"
        family = "Roridula self-test"
        confidence = "high"
    strings:
        $said = "This is a test upload of `roridula doctor`: readable text and nothing else.\n"
    condition:
        filesize < 400 and $said at 0
}
