//! What a model is made like, read from `config.json`.
//!
//! Source: the configurations of Hugging Face `transformers` for `gpt_neox`, `gpt2`, `llama`, `mistral` and
//! `qwen2`, in the spelling before and since version 5 (`rope_parameters`).

use std::path::Path;

use narrows::compute::{Activation, RowNorm};
use narrows::data::did_you_mean;
use narrows::{Error, Result};
use serde_json::Value;

const REMEDY: &str = "fetch the model again; `model.save_pretrained(DIR)` writes it";

/// Whose names the tensors have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// GPT-NeoX, as Pythia.
    GptNeoX,
    /// GPT-2.
    Gpt2,
    /// Llama, and what is built like it.
    Llama,
    /// Mistral: Llama with a window.
    Mistral,
    /// Qwen2: Llama with biases of queries, keys and values.
    Qwen2,
    /// A `.bin` file of llama2.c.
    Llama2C,
}

impl Family {
    /// Those that a `config.json` may name.
    const NAMED: [(&'static str, Self); 5] = [
        ("gpt_neox", Self::GptNeoX),
        ("gpt2", Self::Gpt2),
        ("llama", Self::Llama),
        ("mistral", Self::Mistral),
        ("qwen2", Self::Qwen2),
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        let named = Self::NAMED.iter().find(|(_, family)| *family == self);
        named.map_or("llama2.c", |(name, _)| name)
    }
}

/// How a model knows where a token stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Positions {
    /// A vector for each position, added to that of the token.
    Learned,
    /// Queries and keys are turned by an angle that grows with the position.
    Rotary {
        /// Frequencies of the pairs of columns `(r/2)`.
        frequencies: Vec<f32>,
    },
}

/// What a model is made like.
#[derive(Debug, Clone, PartialEq)]
pub struct Architecture {
    /// Whose names the tensors have.
    pub family: Family,
    /// Tokens.
    pub vocabulary: usize,
    /// Columns d of the residual stream.
    pub width: usize,
    /// Blocks.
    pub layers: usize,
    /// Heads of the queries.
    pub heads: usize,
    /// Heads of keys and values.
    pub key_heads: usize,
    /// Columns of a head.
    pub head_width: usize,
    /// Columns in the middle of an MLP.
    pub hidden: usize,
    /// Positions, at most.
    pub context: usize,
    /// What is normalised.
    pub norm: RowNorm,
    /// ε of the norms.
    pub epsilon: f32,
    /// The function in the middle of an MLP.
    pub activation: Activation,
    /// Whether that function gates a second product.
    pub gated: bool,
    /// Whether attention and MLP read the same rows.
    pub parallel: bool,
    /// How a position is known.
    pub positions: Positions,
    /// Positions that attention sees, the own one included.
    pub window: Option<usize>,
    /// Whether queries, keys and values have biases.
    pub query_bias: bool,
    /// Whether what comes out of attention has one.
    pub attention_bias: bool,
    /// Whether the products of an MLP have them.
    pub mlp_bias: bool,
    /// Whether logits are made with the embedding.
    pub tied: bool,
    /// What the products of queries and keys are multiplied by, of each block.
    pub attention_scales: Vec<f32>,
    /// The token that begins a text. A token that the vocabulary does not have is none: `transformers` writes its
    /// default into the configuration of any GPT-2, however few tokens that has.
    pub begin: Option<u32>,
}

/// A table of settings, and where it came from.
struct Settings<'a> {
    path: &'a Path,
    table: &'a Value,
}

impl Settings<'_> {
    fn bad(&self, problem: String) -> Error {
        Error::bad_file(self.path, problem, REMEDY)
    }

    /// A count under the first of `names` that is there.
    fn optional(&self, names: &[&str]) -> Result<Option<usize>> {
        let Some(name) = names.iter().find(|name| !self.table[**name].is_null()) else {
            return Ok(None);
        };
        let value = self.table[*name].as_u64().filter(|&value| (1..1 << 32).contains(&value));
        let value = value
            .ok_or_else(|| self.bad(format!("'{name}' is {}, not a count", self.table[*name])))?;
        Ok(Some(value as usize))
    }

    fn count(&self, names: &[&str]) -> Result<usize> {
        self.optional(names)?.ok_or_else(|| self.bad(format!("'{}' is missing", names[0])))
    }

    fn number(&self, table: &Value, name: &str, otherwise: f64) -> f64 {
        table[name].as_f64().or(self.table[name].as_f64()).unwrap_or(otherwise)
    }

    fn is(&self, name: &str, otherwise: bool) -> bool {
        self.table[name].as_bool().unwrap_or(otherwise)
    }

    fn activation(&self, name: &str, otherwise: &str) -> Result<Activation> {
        match self.table[name].as_str().unwrap_or(otherwise) {
            "gelu" | "gelu_python" => Ok(Activation::Gelu),
            "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
            "silu" | "swish" => Ok(Activation::Silu),
            "relu" => Ok(Activation::Relu),
            other => Err(Error::mistake(
                "read a language model",
                "the activation gelu, gelu_new, gelu_fast, gelu_pytorch_tanh, silu or relu",
                format!("'{other}' in {}", self.path.display()),
                "give a model that has one of them",
            )),
        }
    }

    /// The token that begins a text, or, of a model without, the first of those that end it.
    fn begin(&self) -> Option<u32> {
        let vocabulary = self.table["vocab_size"].as_u64().unwrap_or(0) as usize;
        let first = |name: &str| tokens(&self.table[name], vocabulary).first().copied();
        first("bos_token_id").or_else(|| first("eos_token_id"))
    }

    /// The frequencies of `turned` columns of a head.
    fn rotary(&self, turned: usize, context: usize, base: &str) -> Result<Positions> {
        let new = &self.table["rope_parameters"];
        let scaling = if new.is_object() { new } else { &self.table["rope_scaling"] };
        let base = self.number(new, "rope_theta", self.number(new, base, 10_000.0));
        let kind = scaling["rope_type"].as_str().or(scaling["type"].as_str()).unwrap_or("default");
        let plain = (0..turned / 2).map(|pair| base.powf(-2.0 * pair as f64 / turned as f64));
        let factor = scaling["factor"].as_f64().unwrap_or(1.0);
        let frequencies: Vec<f32> = match kind {
            // "dynamic" changes nothing up to the length that the model was trained with.
            "default" | "dynamic" => plain.map(|f| f as f32).collect(),
            "linear" => plain.map(|f| (f / factor) as f32).collect(),
            "llama3" => {
                let low = scaling["low_freq_factor"].as_f64().unwrap_or(1.0);
                let high = scaling["high_freq_factor"].as_f64().unwrap_or(4.0);
                let before = scaling["original_max_position_embeddings"].as_f64();
                let before = before.unwrap_or(context as f64);
                plain.map(|f| llama3(f, factor, low, high, before) as f32).collect()
            }
            other => {
                return Err(Error::mistake(
                    "read a language model",
                    "rotary positions of the type default, linear, dynamic or llama3",
                    format!("'{other}' in {}", self.path.display()),
                    "give a model that has one of them",
                ));
            }
        };
        Ok(Positions::Rotary { frequencies })
    }
}

/// A token or several, those left out that a vocabulary does not have.
pub(super) fn tokens(value: &Value, vocabulary: usize) -> Vec<u32> {
    let several = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    let tokens = several.iter().filter_map(Value::as_u64);
    tokens.filter(|&token| token < vocabulary as u64).map(|token| token as u32).collect()
}

/// Frequencies whose wave is longer than `before/low` are divided by `factor`, those shorter than
/// `before/high` stay, and between them it goes over smoothly.
fn llama3(frequency: f64, factor: f64, low: f64, high: f64, before: f64) -> f64 {
    let waves = before * frequency / (2.0 * std::f64::consts::PI);
    let share = ((waves - low) / (high - low)).clamp(0.0, 1.0);
    (1.0 - share) * frequency / factor + share * frequency
}

impl Architecture {
    /// What a `config.json` says.
    ///
    /// # Errors
    /// If it names a model that is not known, or a setting is missing or cannot be.
    pub fn from_config(path: &Path, table: &Value) -> Result<Self> {
        let settings = Settings { path, table };
        let kind = table["model_type"].as_str().unwrap_or("");
        let family = Family::NAMED.iter().find(|(name, _)| *name == kind);
        let Some((_, family)) = family else {
            let names = Family::NAMED.map(|(name, _)| name);
            let meant = did_you_mean(kind, names);
            return Err(Error::mistake(
                "read a language model",
                format!("a model_type among {}", names.join(", ")),
                format!("'{kind}' in {}", path.display()),
                if meant == "check the name" { "give another model".to_owned() } else { meant },
            ));
        };
        let found = match family {
            Family::GptNeoX => settings.gpt_neox()?,
            Family::Gpt2 => settings.gpt2()?,
            family => settings.llama(*family)?,
        };
        found.check(&settings)?;
        Ok(found)
    }

    fn check(&self, settings: &Settings<'_>) -> Result<()> {
        if !self.heads.is_multiple_of(self.key_heads) {
            let (heads, keys) = (self.heads, self.key_heads);
            return Err(settings.bad(format!("{heads} heads of queries, {keys} of keys")));
        }
        let turned = match &self.positions {
            Positions::Rotary { frequencies } => 2 * frequencies.len(),
            Positions::Learned => 0,
        };
        if turned > self.head_width {
            let problem = format!("{turned} of the {} columns of a head turn", self.head_width);
            return Err(settings.bad(problem));
        }
        Ok(())
    }
}

impl Settings<'_> {
    fn gpt_neox(&self) -> Result<Architecture> {
        let (width, heads) = (self.count(&["hidden_size"])?, self.count(&["num_attention_heads"])?);
        let layers = self.count(&["num_hidden_layers"])?;
        let head_width = self.head_width(width, heads)?;
        let context = self.count(&["max_position_embeddings"])?;
        let part = self.number(&Value::Null, "rotary_pct", 0.25);
        let turned = self.turned(head_width, part);
        let bias = self.is("attention_bias", true);
        Ok(Architecture {
            family: Family::GptNeoX,
            vocabulary: self.count(&["vocab_size"])?,
            width,
            layers,
            heads,
            key_heads: heads,
            head_width,
            hidden: self.count(&["intermediate_size"])?,
            context,
            norm: RowNorm::Layer,
            epsilon: self.number(&Value::Null, "layer_norm_eps", 1e-5) as f32,
            activation: self.activation("hidden_act", "gelu")?,
            gated: false,
            parallel: self.is("use_parallel_residual", true),
            positions: self.rotary(turned, context, "rotary_emb_base")?,
            window: None,
            query_bias: bias,
            attention_bias: bias,
            mlp_bias: true,
            tied: self.is("tie_word_embeddings", false),
            attention_scales: vec![1.0 / (head_width as f32).sqrt(); layers],
            begin: self.begin(),
        })
    }

    fn gpt2(&self) -> Result<Architecture> {
        let (width, heads) = (self.count(&["n_embd", "hidden_size"])?, self.count(&["n_head"])?);
        let layers = self.count(&["n_layer"])?;
        let head_width = self.head_width(width, heads)?;
        let scaled = self.is("scale_attn_weights", true);
        let by_layer = self.is("scale_attn_by_inverse_layer_idx", false);
        let scale = |layer: usize| {
            let scale = if scaled { 1.0 / (head_width as f32).sqrt() } else { 1.0 };
            if by_layer { scale / (layer + 1) as f32 } else { scale }
        };
        Ok(Architecture {
            family: Family::Gpt2,
            vocabulary: self.count(&["vocab_size"])?,
            width,
            layers,
            heads,
            key_heads: heads,
            head_width,
            hidden: self.optional(&["n_inner"])?.unwrap_or(4 * width),
            context: self.count(&["n_positions", "n_ctx"])?,
            norm: RowNorm::Layer,
            epsilon: self.number(&Value::Null, "layer_norm_epsilon", 1e-5) as f32,
            activation: self.activation("activation_function", "gelu_new")?,
            gated: false,
            parallel: false,
            positions: Positions::Learned,
            window: None,
            query_bias: true,
            attention_bias: true,
            mlp_bias: true,
            tied: self.is("tie_word_embeddings", true),
            attention_scales: (0..layers).map(scale).collect(),
            begin: self.begin(),
        })
    }

    fn llama(&self, family: Family) -> Result<Architecture> {
        let (width, heads) = (self.count(&["hidden_size"])?, self.count(&["num_attention_heads"])?);
        let layers = self.count(&["num_hidden_layers"])?;
        let head_width = match self.optional(&["head_dim"])? {
            Some(given) => given,
            None => self.head_width(width, heads)?,
        };
        let context = self.count(&["max_position_embeddings"])?;
        let bias = self.is("attention_bias", false);
        let window = match family {
            Family::Mistral => self.optional(&["sliding_window"])?,
            Family::Qwen2 if self.is("use_sliding_window", false) => {
                return Err(Error::mistake(
                    "read a language model",
                    "a Qwen2 model whose blocks all see everything before",
                    format!("use_sliding_window in {}", self.path.display()),
                    "give another model",
                ));
            }
            _ => None,
        };
        Ok(Architecture {
            family,
            vocabulary: self.count(&["vocab_size"])?,
            width,
            layers,
            heads,
            key_heads: self.optional(&["num_key_value_heads"])?.unwrap_or(heads),
            head_width,
            hidden: self.count(&["intermediate_size"])?,
            context,
            norm: RowNorm::RootMeanSquare,
            epsilon: self.number(&Value::Null, "rms_norm_eps", 1e-6) as f32,
            activation: self.activation("hidden_act", "silu")?,
            gated: true,
            parallel: false,
            positions: self.rotary(self.turned(head_width, 1.0), context, "rope_theta")?,
            window,
            query_bias: bias || family == Family::Qwen2,
            attention_bias: bias,
            mlp_bias: self.is("mlp_bias", false),
            tied: self.is("tie_word_embeddings", false),
            attention_scales: vec![1.0 / (head_width as f32).sqrt(); layers],
            begin: self.begin(),
        })
    }

    /// Columns of a head that turn.
    fn turned(&self, head_width: usize, otherwise: f64) -> usize {
        let new = &self.table["rope_parameters"];
        (head_width as f64 * self.number(new, "partial_rotary_factor", otherwise)) as usize
    }

    fn head_width(&self, width: usize, heads: usize) -> Result<usize> {
        match width.is_multiple_of(heads) {
            true => Ok(width / heads),
            false => Err(self.bad(format!("{width} columns are not {heads} equal heads"))),
        }
    }
}
