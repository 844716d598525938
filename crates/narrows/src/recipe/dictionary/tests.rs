use super::*;
use crate::train::dictionary::Kind;

fn read(text: &str) -> Result<DictionaryRecipe> {
    DictionaryRecipe::from_value(&serde_json::from_str(text).expect("legal JSON"))
}

#[test]
fn a_sweep_is_every_combination_the_last_axis_first() {
    let recipe = read(
        r#"{"dictionary": {"kind": "relu"},
            "sweep": "alpha=1e-4..1e-2 log 3; width=1x,2x; seed=0..1"}"#,
    );
    let all = recipe.and_then(|recipe| recipe.dictionaries(10)).expect("a legal recipe");
    let found: Vec<(f64, usize, u64)> =
        all.iter().map(|own| (own.sparsity_weight, own.latents, own.seed)).collect();
    let mut expected = Vec::new();
    for weight in [1e-4, 1e-3, 1e-2] {
        for latents in [10, 20] {
            expected.extend([(weight, latents, 0), (weight, latents, 1)]);
        }
    }
    let close = |a: &(f64, usize, u64), b: &(f64, usize, u64)| {
        (a.0 / b.0 - 1.0).abs() < 1e-12 && (a.1, a.2) == (b.1, b.2)
    };
    assert_eq!(found.len(), 12);
    assert!(found.iter().zip(&expected).all(|(a, b)| close(a, b)), "{found:?}");
}

#[test]
fn several_tables_are_several_dictionaries() {
    let recipe =
        read(r#"{"seed": 3, "dictionary": [{"kind": "topk", "k": 5}, {"latents": "4x"}]}"#);
    let all = recipe.and_then(|recipe| recipe.dictionaries(10)).expect("a legal recipe");
    assert_eq!((all[0].k, all[0].latents, all[0].seed), (5.0, 80, 3));
    assert_eq!(all[1].latents, 40);
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    for (text, told) in [
        (r#"{"dictionary": {"kidn": "topk"}}"#, "did you mean 'kind'"),
        (r#"{"dictionary": {"kind": "topk", "tied": true}}"#, "`tied` is given"),
        (r#"{"dictionary": {"latents": "8y"}}"#, "'8y'"),
        (
            r#"{"dictionary": {"kind": "topk", "k": 0, "latents": 9}}"#,
            "k: above 0, at most latents, of which there are 9 but got 0",
        ),
        (
            r#"{"dictionary": {"latents": 9, "k": 3, "dead_after": 500, "resample_at": [900, 400]}}"#,
            "resample_at: rows from dead_after on, which is 500: no latent is dead before but got [900,400]",
        ),
        (r#"{"dictionary": {"latents": "0x"}}"#, "'0x'"),
        (r#"{"dictionary": [1]}"#, "a list of tables but got [1]"),
        (r#"{"dictionary": "x"}"#, "a list of tables but got \"x\""),
        (r#"{"dictionary": 3}"#, "a list of tables but got 3"),
        (r#"{"dictionary": {"kind": "relu", "revival_weight": 1}}"#, "`revival_weight` is given"),
        (r#"{"dictionary": {"kind": "relu", "revival_k": 2}}"#, "`revival_k` is given"),
        (r#"{"dictionary": {"kind": "topk", "k": 3, "target_l0": 3}}"#, "k or target_l0"),
        (r#"{"dictionary": {"k": 3}, "sweep": "target_l0=3,4"}"#, "k or target_l0"),
        (r#"{"dictionary": {"target_l0": "many"}}"#, "\"many\""),
        (r#"{"sweep": "kind=topk,tpok"}"#, "gated but got \"tpok\""),
        (r#"{"sweep": "kind=relu,gated; k=3"}"#, "`relu`, `gated`, which do not read it"),
        (
            r#"{"sweep": "alpha=1,2"}"#,
            "leave it out, or add kind=relu or kind=jumprelu or kind=gated",
        ),
        (r#"{"dictionary": {"k": 3}, "sweep": "kind=relu,gated"}"#, "`k` is given"),
        (r#"{"dictionary": [{"kind": "relu", "k": 3}, {}], "sweep": "k=4"}"#, "`k` is given"),
        (r#"{"sweep": "kk=1,2"}"#, "did you mean 'k'"),
        (r#"{"sweep": "k=1,,2"}"#, "'k=1,,2'"),
        (r#"{"sweep": "k=5..1"}"#, "'k=5..1'; write the smaller end first: `1..5`"),
        (r#"{"sweep": "k=4,8 seed=0..1"}"#, "part axes by ';'"),
        (r#"{"sweep": "alpha=1..10 log"}"#, "say how many values: `1..10 log 8`"),
        (r#"{"sweep": "alpha=0..1 log 3"}"#, "give log ends above 0"),
        (r#"{"sweep": "alpha=0.1..0.9"}"#, "`0.1..0.9 linear 8`"),
        (r#"{"sweep": "k=4..x"}"#, "write a list `4,8`"),
        (r#"{"dictionary": {"kind": "topk", "k": 4.5, "latents": 9}}"#, "k: a whole number"),
        (r#"{"sweep": "k"}"#, "write a key"),
        (r#"{"train": {"batch_size": 0}}"#, "train.batch_size"),
        (
            r#"{"train": {"epochs": 3}}"#,
            "`model.kind` to be linear or network or stack where `train.epochs` is given but got \
             `dictionary`, which does not read it; leave it out; `dictionary` reads train.batch_size,",
        ),
        (
            r#"{"model": {"components": 3}}"#,
            "where `model.components` is given but got `dictionary`, which does not read it; leave it \
             out; `dictionary` reads dictionary.bandwidth, dictionary.centred,",
        ),
        (r#"{"prepare": {"scale": "none"}}"#, "`model.kind` to be another where `prepare` is"),
        (r#"{"data": {"labels": "a"}}"#, "`dictionary` reads data.lm, data.path, data.target"),
        (r#"{"k": 3}"#, "a key of a recipe but got 'k'; did you mean 'dictionary.k'?"),
        (r#"{"train": {"foo": 3}}"#, "'foo'; there are 'batch_size', 'checkpoint_seconds',"),
        (
            r#"{"train": {"shuffle": "blocks"}}"#,
            "\"blocks\"; write shuffle = { blocks = { rows = 4096 } }",
        ),
        (
            r#"{"train": {"shuffle": {"blocks": 3}}}"#,
            "`global`, `none` or `{ blocks = { rows = 4096 } }`",
        ),
        (r#"{"train": {"shuffle": "globl"}}"#, "did you mean 'global'?"),
    ] {
        let said = read(text).expect_err(text).to_string();
        assert!(said.contains(told), "{text}: {said}");
    }
}

#[test]
fn latents_of_few_columns_do_not_stand_in_for_those_of_many() {
    for (table, columns, latents) in [
        (r#"{"latents": "8x", "k": 600}"#, 768, 6144),
        (r#"{"latents": "8x", "k": 16384}"#, 4096, 32768),
        (r#"{"latents": "0.4x", "k": 8}"#, 768, 307),
        (r#"{"latents": "0.0005x", "k": 5}"#, 10_000, 5),
        (r#"{"kind": "matryoshka", "latents": "16x", "widths": [768, 12288]}"#, 768, 12288),
    ] {
        let recipe = read(&format!(r#"{{"dictionary": {table}}}"#)).expect(table);
        assert_eq!(recipe.dictionaries(columns).expect(table)[0].latents, latents);
        // What does not go with the columns is still refused, once they are known.
        let said = recipe.dictionaries(1).expect_err(table).to_string();
        let few = r#"{"latents": "8x", "k": 600}"#;
        assert!(table != few || said.contains("of which there are 8 but got 600"), "{said}");
    }
}

#[test]
fn an_axis_reaches_the_kinds_that_read_it_and_none_is_made_twice() {
    let made = |text: &str| {
        let all = read(text).and_then(|recipe| recipe.dictionaries(10)).expect(text);
        let told = all.iter().map(|own| match own.kind {
            Kind::Relu => (own.kind, own.sparsity_weight),
            _ => (own.kind, own.k),
        });
        told.collect::<Vec<_>>()
    };
    let (relu, batch) = (Kind::Relu, Kind::BatchTopK);
    let expected = [(relu, 0.1), (relu, 1.0), (batch, 16.0), (batch, 32.0)];
    assert_eq!(made(r#"{"sweep": "kind=relu,batchtopk; alpha=0.1,1; k=16,32"}"#), expected);
    let tables = r#""dictionary": [{"kind": "relu"}, {"kind": "batchtopk"}]"#;
    assert_eq!(made(&format!(r#"{{{tables}, "sweep": "k=16,32; alpha=0.1,1"}}"#)), expected);
    let usual = DictionaryOptions::default().sparsity_weight;
    let expected = [(relu, usual), (batch, 16.0), (batch, 32.0)];
    assert_eq!(made(&format!(r#"{{{tables}, "sweep": "k=16,32"}}"#)), expected);
    let expected = [(batch, 8.0), (relu, usual)];
    assert_eq!(made(r#"{"dictionary": {"k": 8}, "sweep": "kind=batchtopk,relu"}"#), expected);
}

#[test]
fn a_dictionary_that_is_asked_for_twice_is_refused() {
    let recipe = read(r#"{"dictionary": [{"latents": "4x"}, {"latents": 40}]}"#).expect("legal");
    let said = recipe.dictionaries(10).expect_err("the same latents").to_string();
    assert!(said.contains("2 [[dictionary]] tables, of which 1 differ"), "{said}");
    assert_eq!(recipe.dictionaries(11).expect("they differ").len(), 2);
}

#[test]
fn a_target_is_k_where_k_is_what_makes_codes_sparse() {
    let text = r#"{"sweep": "kind=topk,batchtopk,matryoshka,relu,jumprelu,gated; target_l0=5,7"}"#;
    let all = read(text).and_then(|recipe| recipe.dictionaries(10)).expect("a legal recipe");
    assert_eq!(all.len(), 12);
    for (place, own) in all.iter().enumerate() {
        let target = [5.0, 7.0][place % 2];
        match own.penalised() {
            true => assert_eq!(own.target_l0, Some(target), "{:?}", own.kind),
            false => assert_eq!((own.k, own.target_l0), (target, None), "{:?}", own.kind),
        }
    }
}
