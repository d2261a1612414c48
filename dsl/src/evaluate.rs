//! From a file's text to its declarations.

use std::{
    collections::BTreeMap,
    fmt,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
};

use rhai::{AST, Engine};

use crate::{
    constructors,
    definitions::hides,
    diagnostics::{Diagnostic, Diagnostics, Severity},
    engine,
    evaluation::Evaluation,
    extract::POISON,
    faults,
    limits::Limits,
    locate::SourceText,
    modules::Resolver,
    nearest::nearest,
    recorder::{Recorder, State},
    source::{Source, SourceLoader},
};

/// Tells whether the time for an evaluation is up.
pub type OutOfTime = Arc<dyn Fn() -> bool + Send + Sync>;

/// What an evaluation is given besides the file.
#[derive(Clone, Default)]
pub struct Options {
    /// Values of parameters, from `--bind NAME=VALUE`.
    pub binds: BTreeMap<String, String>,
    /// Bounds.
    pub limits: Limits,
    /// Asked now and then; evaluation ends with an error once it says true.
    pub out_of_time: Option<OutOfTime>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("binds", &self.binds)
            .field("limits", &self.limits)
            .field("out_of_time", &self.out_of_time.is_some())
            .finish()
    }
}

/// Evaluates a job file.
///
/// The result depends on nothing but the arguments and what `loader` returns.
///
/// # Errors
/// Everything that is wrong with the file, as far as it could be evaluated; warnings are among it.
pub fn evaluate(
    source: Source,
    loader: Arc<dyn SourceLoader + Send + Sync>,
    options: &Options,
) -> Result<Evaluation, Diagnostics> {
    let recorder = Arc::new(Recorder::new(options.limits.clone(), options.binds.clone()));
    let complete = guarded(&recorder, || {
        run(source.without_mark(), loader, options, &recorder)
    });
    if complete {
        check_binds(&recorder);
    }
    let mut state = std::mem::take(&mut *recorder.state());
    if state.errors == 0 && state.poisoned {
        let message = "a declaration holds a value that stands for a fault";
        state.diagnostics.push(Diagnostic::error(message));
        state.errors += 1;
    }
    finish(state)
}

/// Turns a panic of the interpreter, which is a fault of ours, into a diagnostic.
fn guarded(recorder: &Recorder, run: impl FnOnce() -> bool) -> bool {
    // What the panic may leave half done is dropped or only added to.
    std::panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        let message = "the interpreter failed on this file, which is a fault of aurora-rs";
        recorder.add(Diagnostic::error(message));
        false
    })
}

/// Evaluates the file; returns whether that went to its end.
fn run(
    source: Source,
    loader: Arc<dyn SourceLoader + Send + Sync>,
    options: &Options,
    recorder: &Arc<Recorder>,
) -> bool {
    let name: Arc<str> = Arc::from(source.name.as_str());
    if let Err(problem) = check_text(&source.text, &options.limits) {
        recorder.add(Diagnostic::error(format!("`{name}` {problem}")));
        return false;
    }
    recorder.charge_source(source.text.len());
    recorder.add_source(SourceText::new(name.clone(), source.text.clone()), &name);
    let mut engine = engine::bounded(options, recorder);
    constructors::register(&mut engine, recorder);
    engine.set_module_resolver(Resolver {
        loader,
        recorder: Arc::clone(recorder),
        loaded: Mutex::default(),
    });
    run_root(&engine, &source, recorder)
}

fn run_root(engine: &Engine, source: &Source, recorder: &Recorder) -> bool {
    let mut scope = engine::scope();
    let mut ast = match engine.compile_with_scope(&scope, &source.text) {
        Ok(ast) => ast,
        Err(error) => {
            recorder.add(faults::syntax(&error, &source.name, recorder));
            return false;
        }
    };
    ast.set_source(source.name.clone());
    warn_of_hidden_functions(&ast, &source.name, recorder);
    match engine.run_ast_with_scope(&mut scope, &ast) {
        Ok(()) => true,
        Err(error) => {
            if let Some(fault) = faults::runtime(*error, &source.name, recorder) {
                recorder.add(fault);
            }
            false
        }
    }
}

/// Warns of functions of a file that are called in the place of those of the job language.
pub(crate) fn warn_of_hidden_functions(ast: &AST, file: &str, recorder: &Recorder) {
    for function in ast.iter_functions() {
        let name = function.name;
        if !hides(name, function.params.len()) {
            continue;
        }
        let message = format!("`fn {name}` hides the function `{name}` of the job language");
        let mut warning = Diagnostic::warning(message).with_hint("give it another name");
        warning.location = recorder
            .source(file)
            .and_then(|source| source.function(name));
        recorder.add(warning);
    }
}

/// What is wrong with a file's text as a whole, to follow the file's name.
pub(crate) fn check_text(text: &str, limits: &Limits) -> Result<(), String> {
    if text.len() > limits.source_bytes {
        let (length, most) = (text.len(), limits.source_bytes);
        return Err(format!(
            "is too large: {length} bytes, at most {most} are allowed"
        ));
    }
    if text.contains('\0') {
        return Err("is no text: it contains a NUL character".to_owned());
    }
    if text.contains(POISON) {
        return Err("contains U+FDD1, which is no character".to_owned());
    }
    Ok(())
}

/// Reports values that were given for parameters the file never asked for.
fn check_binds(recorder: &Recorder) {
    let known: Vec<String> = recorder
        .state()
        .params
        .iter()
        .map(|param| param.name.clone())
        .collect();
    for name in recorder.binds.keys().filter(|name| !known.contains(name)) {
        let diagnostic = Diagnostic::error(format!("the file has no parameter `{name}`"));
        let hint = match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "it asks for none: see param(name, default)".to_owned(),
            None => format!("its parameters are {}", known.join(", ")),
        };
        recorder.add(diagnostic.with_hint(hint));
    }
}

/// Sorts what was found by its place and makes the result of it.
fn finish(mut state: State) -> Result<Evaluation, Diagnostics> {
    let files = std::mem::take(&mut state.files);
    state
        .diagnostics
        .sort_by_key(|diagnostic| match &diagnostic.location {
            Some(at) => {
                let file = files
                    .iter()
                    .position(|name| *name == at.file)
                    .unwrap_or(files.len());
                (file, at.line, at.column)
            }
            None => (usize::MAX, 0, 0),
        });
    if state.output_dropped > 0 {
        state
            .output
            .push(format!("... and {} more lines", state.output_dropped));
    }
    if state.errors > 0 {
        return Err(Diagnostics {
            entries: state.diagnostics,
            suppressed: state.suppressed,
            output: state.output,
        });
    }
    debug_assert!(
        state
            .diagnostics
            .iter()
            .all(|found| found.severity == Severity::Warning)
    );
    Ok(Evaluation {
        declarations: state.declarations,
        params: state.params,
        warnings: state.diagnostics,
        files,
        output: state.output,
    })
}
