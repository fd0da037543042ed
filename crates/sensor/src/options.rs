//! What the sensor may be told.

/// The sensor's own bounds, apart from those of one connection (`roridula_proto::limits::Limits`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SensorOptions {
    /// Connections open at once.
    pub connections_max: usize,
    /// Of these, from one IPv4 address or one IPv6 /64.
    pub connections_per_source_max: usize,
    /// Of these, from one IPv4 /24 or one IPv6 /48.
    pub connections_per_network_max: usize,
    /// New connections a minute from one IPv4 address or one IPv6 /64.
    pub connections_per_minute_max: u32,
    /// Bytes that all connections together may own.
    pub memory_bytes_max: usize,
    /// Seconds that one write to a visitor may take.
    pub write_secs_max: u64,
    /// Seconds for which the implant stays silent to a source that killed it.
    pub dormant_secs: u64,
    /// Seconds for which a source whose exploit ran to its end counts as having exploited us.
    pub exploited_secs: u64,
    /// Sources whose state (dormant, exploited) is remembered at once.
    pub sources_max: usize,
    /// Threads that hash and write payloads.
    pub capture_threads: usize,
    /// Bytes of free disk below which no new payload is written (loudly: `capture.failed`).
    pub reserve_bytes: u64,
    /// Whether transcripts are kept.
    pub transcripts: bool,
}

impl Default for SensorOptions {
    fn default() -> Self {
        Self {
            connections_max: 16_384,
            connections_per_source_max: 1024,
            connections_per_network_max: 4096,
            connections_per_minute_max: 30_000,
            memory_bytes_max: 512 * 1024 * 1024,
            write_secs_max: 10,
            dormant_secs: 6 * 3600,
            exploited_secs: 24 * 3600,
            sources_max: 65_536,
            capture_threads: 2,
            reserve_bytes: 64 * 1024 * 1024,
            transcripts: true,
        }
    }
}
