//! What the models cost. Prices are configuration: they moved several times in 2026
//! (contracts/openai.md §7).

use std::collections::BTreeMap;

use clients::openai::Usage;
use serde::Deserialize;

/// The prices that ship with Millrace.
const DEFAULT: &str = include_str!("../prices.json");

/// Above this many input tokens the newer models cost twice the input and half more for output.
const LARGE_CONTEXT_TOKENS: u64 = 272_000;

/// What a research job of ours reads and writes besides its prompt, for the estimate before it is
/// submitted: pages found by search, reasoning, the document.
const EXPECTED_INPUT_TOKENS: u64 = 60_000;
const EXPECTED_OUTPUT_TOKENS: u64 = 20_000;
const EXPECTED_SEARCHES: u64 = 25;

/// Prices by model name.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Prices {
    /// US dollars for one web search.
    web_search_call: f64,
    models: BTreeMap<String, Price>,
}

/// US dollars per million tokens.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Price {
    input: f64,
    /// Where it is not known, cached input costs as much as any.
    cached_input: Option<f64>,
    output: f64,
}

impl Prices {
    /// Reads a price list; `None` takes the one that ships with Millrace.
    pub(crate) fn read(json: Option<&str>) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json.unwrap_or(DEFAULT))
    }

    /// Whether the model has a price.
    pub(crate) fn knows(&self, model: &str) -> bool {
        self.price(model).is_some()
    }

    /// US dollars for what was used, or `None` for a model without a price.
    pub(crate) fn cost(&self, model: &str, usage: &Usage, web_searches: u64) -> Option<f64> {
        let price = self.price(model)?;
        let cached = usage.cached_tokens.min(usage.input_tokens);
        let (input_factor, output_factor) = if usage.input_tokens > LARGE_CONTEXT_TOKENS {
            (2.0, 1.5)
        } else {
            (1.0, 1.0)
        };
        let input = (usage.input_tokens - cached) as f64 * price.input
            + cached as f64 * price.cached_input.unwrap_or(price.input);
        let output = usage.output_tokens as f64 * price.output;
        let tokens = (input * input_factor + output * output_factor) / 1e6;
        Some(tokens + web_searches as f64 * self.web_search_call)
    }

    /// US dollars that a research job is expected to cost; 0 for a model without a price.
    pub(crate) fn estimate(&self, model: &str, prompt_tokens: u64) -> f64 {
        let usage = Usage {
            input_tokens: prompt_tokens + EXPECTED_INPUT_TOKENS,
            output_tokens: EXPECTED_OUTPUT_TOKENS,
            ..Usage::default()
        };
        self.cost(model, &usage, EXPECTED_SEARCHES).unwrap_or(0.0)
    }

    /// Answers name a model with its date (`gpt-5.5-2026-04-23`): the longest name that starts it
    /// counts, and only where a date or nothing follows.
    fn price(&self, model: &str) -> Option<Price> {
        let dated = |rest: &str| rest.starts_with("-20");
        self.models
            .iter()
            .filter(|(name, _)| {
                model
                    .strip_prefix(name.as_str())
                    .is_some_and(|rest| rest.is_empty() || dated(rest))
            })
            .max_by_key(|(name, _)| name.len())
            .map(|(_, price)| *price)
    }
}

#[cfg(test)]
mod tests {
    use clients::openai::Usage;

    use super::Prices;

    fn usage(input: u64, cached: u64, output: u64) -> Usage {
        Usage {
            input_tokens: input,
            cached_tokens: cached,
            output_tokens: output,
            ..Usage::default()
        }
    }

    #[test]
    fn a_job_costs_its_tokens_and_its_searches() {
        let prices = Prices::read(None).unwrap();
        // 0.9 M × 5 + 0.1 M × 0.5 + 1 M × 30, over 272 k: 2 × input, 1.5 × output
        let large = prices
            .cost("gpt-5.5", &usage(1_000_000, 100_000, 1_000_000), 10)
            .unwrap();
        assert!((large - (2.0 * 4.55 + 45.0 + 0.1)).abs() < 1e-9, "{large}");
        let small = prices
            .cost("gpt-5.5-2026-04-23", &usage(100_000, 0, 10_000), 0)
            .unwrap();
        assert!((small - 0.8).abs() < 1e-9, "{small}");
    }

    #[test]
    fn a_variant_is_not_priced_like_its_sibling() {
        let prices = Prices::read(None).unwrap();
        assert!(prices.knows("gpt-5.4-mini-2026-03-01"));
        assert!(!prices.knows("gpt-5.4-nano"));
        assert!(prices.estimate("gpt-5.5", 1000) > 0.5);
        assert!(prices.estimate("unknown", 1000) < 1e-9);
    }
}
