//! A place for a worker: filled when somebody asks, and again after a death.

use super::frame::{Question, Wanted};
use super::process::{Death, Reins, Worker};
use crate::settings::TriageSettings;
use roridula_triage::Report;
use roridula_triage::rules::{RuleError, RuleFile};
use std::sync::Arc;

/// Samples after which a worker is replaced, so that nothing adds up in it.
const RECYCLE_AFTER: u32 = 256;

/// Tries with the user's rules that have to run out of time one after another before samples are not tried with them.
const SLOW_MIN: u32 = 2;
/// So many samples are not, twice as many after each further try that runs out of time, and at most so many.
const SPARED: u32 = 8;
const SPARED_MAX: u32 = 1024;

/// Why there is no report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The worker never came to the sample; the sample is not at fault.
    Start(String),
    /// The worker died of the sample, or was killed at its limits.
    Died(String),
    /// The sample cannot be looked into, however often it is tried.
    Sample(String),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Start(how) | Self::Died(how) | Self::Sample(how)) = self;
        f.write_str(how)
    }
}

/// One worker at a time, with the same settings and rules.
#[derive(Debug)]
pub(crate) struct Seat {
    settings: TriageSettings,
    rules: Arc<Vec<RuleFile>>,
    reins: Arc<Reins>,
    worker: Option<Worker>,
    /// Tries with the user's rules that ran out of time, in a row.
    slow: u32,
    /// Samples that are not tried with them.
    spared: u32,
}

impl Seat {
    /// An empty one.
    pub(crate) fn new(settings: TriageSettings, rules: Arc<Vec<RuleFile>>, reins: Arc<Reins>) -> Self {
        Self { settings, rules, reins, worker: None, slow: 0, spared: 0 }
    }

    /// Whether the next question needs a new worker.
    pub(crate) fn is_empty(&self) -> bool {
        self.worker.as_ref().is_none_or(|worker| worker.asked >= RECYCLE_AFTER)
    }

    /// Fills it, if it is empty; says what the worker made of its rules.
    pub(crate) fn fill(&mut self) -> Result<(&str, &[RuleError]), Trouble> {
        if self.is_empty() {
            // The old one first: two would need twice the memory.
            self.worker = None;
            let worker = Worker::start(&self.settings, &self.rules, &self.reins).map_err(Trouble::Start)?;
            self.worker = Some(worker);
        }
        let worker = self.worker.as_ref().ok_or_else(|| Trouble::Start("no worker".to_owned()))?;
        Ok((&worker.opened.digest, &worker.opened.errors))
    }

    /// Whether a sample of so many bytes can be looked into at all.
    pub(crate) fn fits(&self, size: u64) -> Result<(), Trouble> {
        let max = self.settings.sample_bytes_max();
        if size <= max {
            return Ok(());
        }
        let what = "a quarter of triage.memory_bytes_max";
        Err(Trouble::Sample(format!("not looked into: it has {size} bytes, {max} are allowed ({what})")))
    }

    /// Asks about one sample; a worker that died of it has left. `first` is handed the first report, if the question wants
    /// both and there is one. What takes too long with the user's rules is tried without those files that are
    /// too slow for it, then without all of them.
    /// Where that happens to one sample after another, the rules are at fault, and the next samples are spared them.
    pub(crate) fn ask(
        &mut self,
        question: &Question,
        sample: &[u8],
        mut first: impl FnMut(&Report),
    ) -> Result<Report, Trouble> {
        self.fits(sample.len() as u64)?;
        let spares = self.spared > 0;
        // A first report alone does not ask the user's rules: it neither spares them nor shows that they are quick.
        self.spared = self.spared.saturating_sub(u32::from(question.wanted != Wanted::First));
        let asked =
            Question { without_users_rules: spares || question.without_users_rules, ..question.clone() };
        match self.try_once(&asked, sample, &mut first)? {
            Ok(report) => {
                let tried = !spares && report.depth.is_full();
                self.slow = if tried { 0 } else { self.slow };
                Ok(report)
            }
            Err(death) if spares => Err(Trouble::Died(death.how)),
            Err(death) if self.may_be_slow(&death) => {
                tracing::warn!("{}: once more without rule files that are too slow", death.how);
                let wary = Question { find_slow_rules: true, ..asked };
                match self.try_once(&wary, sample, &mut first)? {
                    Ok(report) => return Ok(report),
                    Err(death) if !self.may_be_slow(&death) => return Err(Trouble::Died(death.how)),
                    Err(death) => tracing::warn!("{}: once more without the user's rules", death.how),
                }
                let question = Question { without_users_rules: true, ..question.clone() };
                let again = self.try_once(&question, sample, &mut first)?;
                if again.is_ok() {
                    self.count_slow();
                }
                again.map_err(|death| match self.reins.is_stopping() {
                    true => Trouble::Died(death.how),
                    false => Trouble::Sample(super::given_up(&death.how)),
                })
            }
            Err(death) => Err(Trouble::Died(death.how)),
        }
    }

    /// Whether it died of the user's rules, perhaps.
    fn may_be_slow(&self, death: &Death) -> bool {
        death.over_time && !self.rules.is_empty() && !self.reins.is_stopping()
    }

    /// The bytes of the layer that the question names; empty where there is no such layer.
    pub(crate) fn unpack(&mut self, question: &Question, sample: &[u8]) -> Result<Vec<u8>, Trouble> {
        self.fits(sample.len() as u64)?;
        self.fill()?;
        let worker = self.worker.as_mut().ok_or_else(|| Trouble::Start("no worker".to_owned()))?;
        let answer = worker.unpack(question, sample);
        if answer.is_err() {
            self.worker = None;
        }
        answer.map_err(|death| Trouble::Died(death.how))
    }

    /// The user's rules ran out of time once more, and without them all went well.
    fn count_slow(&mut self) {
        self.slow = self.slow.saturating_add(1);
        let Some(further) = self.slow.checked_sub(SLOW_MIN) else { return };
        self.spared = SPARED.saturating_mul(1 << further.min(16)).min(SPARED_MAX);
        tracing::warn!(
            "the user's rules run out of time again and again: the next {} samples are spared them \
             (`roridula rules check` names slow files)",
            self.spared
        );
    }

    fn try_once(
        &mut self,
        question: &Question,
        sample: &[u8],
        first: impl FnMut(&Report),
    ) -> Result<Result<Report, Death>, Trouble> {
        self.fill()?;
        let worker = self.worker.as_mut().ok_or_else(|| Trouble::Start("no worker".to_owned()))?;
        let answer = worker.ask(question, sample, first);
        if answer.is_err() {
            self.worker = None;
        }
        Ok(answer)
    }
}
