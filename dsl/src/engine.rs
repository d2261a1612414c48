//! The interpreter, without anything that reaches out of it and with bounds on everything.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use rhai::{
    Dynamic, Engine, EvalAltResult, ImmutableString, Module, NativeCallContext, OptimizationLevel,
    Scope, def_package,
    packages::{
        ArithmeticPackage, BasicArrayPackage, BasicFnPackage, BasicIteratorPackage,
        BasicMapPackage, BasicMathPackage, BasicStringPackage, LanguageCorePackage, LogicPackage,
        MoreStringPackage, Package,
    },
};

use crate::{evaluate::Options, limits::Limits, memory::Scales, recorder::Recorder, size::UNITS};

def_package! {
    /// The standard library without clocks, byte arrays and bit fields.
    pub JobFilePackage(_module) :
        LanguageCorePackage,
        ArithmeticPackage,
        BasicStringPackage,
        BasicIteratorPackage,
        BasicFnPackage,
        LogicPackage,
        BasicMathPackage,
        BasicArrayPackage,
        BasicMapPackage,
        MoreStringPackage
    {
    }
}

/// Why the interpreter was stopped; the token of `ErrorTerminated`.
pub(crate) mod stop {
    /// Too many operations.
    pub(crate) const OPERATIONS: &str = "operations";
    /// The caller's time is up.
    pub(crate) const TIME: &str = "time";
    /// The reason has been recorded already.
    pub(crate) const REPORTED: &str = "reported";
}

/// Makes an engine with bounds and the standard library, without functions of job files.
pub(crate) fn bounded(options: &Options, recorder: &Arc<Recorder>) -> Engine {
    let limits = &options.limits;
    let mut engine = Engine::new_raw();
    engine.register_global_module(JobFilePackage::new().as_shared_module());
    let mut units = Module::new();
    for (name, bytes) in UNITS {
        units.set_var(name, bytes);
    }
    engine.register_global_module(units.into());
    set_limits(&mut engine, limits);
    engine.set_optimization_level(OptimizationLevel::None);
    engine.set_strict_variables(true);
    engine.set_fail_on_invalid_map_property(true);
    engine.disable_symbol("eval");
    forbid(&mut engine);
    bounded_replace(&mut engine);
    watch(&mut engine, options, recorder);
    weigh(&mut engine, limits);
    keep_units(&mut engine);
    let kept = Arc::clone(recorder);
    engine.on_print(move |text| kept.print(text));
    let kept = Arc::clone(recorder);
    engine.on_debug(move |text, _, _| kept.print(text));
    engine
}

/// Returns a scope with the units, by which strict checking knows them.
pub(crate) fn scope() -> Scope<'static> {
    let mut scope = Scope::new();
    for (name, bytes) in UNITS {
        scope.push_constant(name, bytes);
    }
    scope
}

fn set_limits(engine: &mut Engine, limits: &Limits) {
    engine
        .set_max_operations(limits.operations)
        .set_max_call_levels(limits.call_depth)
        .set_max_expr_depths(limits.expression_depth, limits.function_expression_depth)
        .set_max_string_size(limits.string_bytes)
        .set_max_array_size(limits.array_items)
        .set_max_map_size(limits.map_fields)
        .set_max_variables(limits.variables)
        .set_max_functions(limits.functions)
        .set_max_modules(limits.modules);
}

/// Counts operations over all files, and asks the caller's clock now and then.
fn watch(engine: &mut Engine, options: &Options, recorder: &Arc<Recorder>) {
    let recorder = Arc::clone(recorder);
    const BETWEEN_LOOKS: u64 = 64;
    let out_of_time = options.out_of_time.clone();
    let most = options.limits.operations;
    let operations = AtomicU64::new(0);
    engine.on_progress(move |_| {
        let count = operations.fetch_add(1, Ordering::Relaxed);
        if count > most {
            return Some(stop::OPERATIONS.into());
        }
        if recorder.is_stopped() {
            return Some(stop::REPORTED.into());
        }
        let look = count.is_multiple_of(BETWEEN_LOOKS);
        let late = look
            && out_of_time
                .as_ref()
                .is_some_and(|out_of_time| out_of_time());
        late.then(|| stop::TIME.into())
    });
}

/// Lets no variable take the place of a unit: sizes would be wrong by a factor of thousands.
fn keep_units(engine: &mut Engine) {
    #[expect(
        deprecated,
        reason = "rhai marks what may change so; the version is pinned by the lock"
    )]
    engine.on_def_var(|_, info, _| Ok(!UNITS.iter().any(|(unit, _)| *unit == info.name())));
}

/// Looks at what the script's variables hold.
fn weigh(engine: &mut Engine, limits: &Limits) {
    let scales = Scales::new(limits);
    #[expect(
        deprecated,
        reason = "rhai marks what may change so; the version is pinned by the lock"
    )]
    engine.on_var(move |_, _, context| scales.look(&context).map(|()| None));
}

/// Replaces functions of the standard library that have no place in a job file.
fn forbid(engine: &mut Engine) {
    fn refuse(name: &str, why: &str) -> Result<(), Box<EvalAltResult>> {
        Err(format!("`{name}` is not available in job files: {why}").into())
    }
    const PURE: &str = "a file means the same whenever it is read";
    engine.register_fn("sleep", |_: i64| refuse("sleep", PURE));
    engine.register_fn("sleep", |_: f64| refuse("sleep", PURE));
    engine.register_fn("timestamp", || refuse("timestamp", PURE));
    engine.register_fn("rand", || refuse("rand", PURE));
    engine.register_fn("exit", || {
        refuse("exit", "what follows would silently not be declared")
    });
    engine.register_fn("exit", |_: Dynamic| {
        refuse("exit", "what follows would silently not be declared")
    });
}

/// The library's own `replace` may build a string of gigabytes before its size is looked at.
fn bounded_replace(engine: &mut Engine) {
    type Text = ImmutableString;
    engine.register_fn(
        "replace",
        |ctx: NativeCallContext, text: &mut Text, old: Text, new: Text| {
            replace(&ctx, text, &old, &new)
        },
    );
    engine.register_fn(
        "replace",
        |ctx: NativeCallContext, text: &mut Text, old: char, new: Text| {
            replace(&ctx, text, &old.to_string(), &new)
        },
    );
    engine.register_fn(
        "replace",
        |ctx: NativeCallContext, text: &mut Text, old: Text, new: char| {
            replace(&ctx, text, &old, &new.to_string())
        },
    );
    engine.register_fn(
        "replace",
        |ctx: NativeCallContext, text: &mut Text, old: char, new: char| {
            replace(&ctx, text, &old.to_string(), &new.to_string())
        },
    );
}

fn replace(
    ctx: &NativeCallContext,
    text: &mut ImmutableString,
    old: &str,
    new: &str,
) -> Result<(), Box<EvalAltResult>> {
    let found = text.matches(old).count();
    let size = found.saturating_mul(new.len()).saturating_add(text.len());
    if size
        > ctx
            .engine()
            .max_string_size()
            .saturating_add(found.saturating_mul(old.len()))
    {
        let what = "Length of string".to_owned();
        return Err(EvalAltResult::ErrorDataTooLarge(what, ctx.call_position()).into());
    }
    *text = text.replace(old, new).into();
    Ok(())
}
