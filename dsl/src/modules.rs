//! `import`: loads libraries through the caller's loader, each once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use rhai::{
    AST, Dynamic, Engine, EvalAltResult, GlobalRuntimeState, Module, ModuleResolver, Position,
    Scope, Shared,
};

use crate::{
    engine::{scope, stop},
    evaluate::{check_text, warn_of_hidden_functions},
    faults,
    locate::SourceText,
    recorder::{Recorder, Report},
    source::{LoadError, Source, SourceLoader},
    value::{At, Site},
};

/// Libraries may import libraries so many levels deep; each level uses the native stack.
const MAX_DEPTH: usize = 8;

/// The resolver of one evaluation.
pub(crate) struct Resolver {
    pub(crate) loader: Arc<dyn SourceLoader + Send + Sync>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) loaded: Mutex<BTreeMap<String, Shared<Module>>>,
}

type Resolved = Result<Shared<Module>, Box<EvalAltResult>>;

/// What ends the evaluation after the reason was recorded.
fn stopped(position: Position) -> Box<EvalAltResult> {
    EvalAltResult::ErrorTerminated(Dynamic::from(stop::REPORTED), position).into()
}

impl ModuleResolver for Resolver {
    fn resolve(&self, engine: &Engine, from: Option<&str>, path: &str, at: Position) -> Resolved {
        let mut global = engine.new_global_runtime_state();
        self.import(engine, &mut global, from.map(str::to_owned), path, at)
    }

    fn resolve_raw(
        &self,
        engine: &Engine,
        global: &mut GlobalRuntimeState,
        _scope: &mut Scope,
        path: &str,
        at: Position,
    ) -> Resolved {
        let from = global.source().map(str::to_owned);
        self.import(engine, global, from, path, at)
    }
}

impl Resolver {
    fn import(
        &self,
        engine: &Engine,
        global: &mut GlobalRuntimeState,
        from: Option<String>,
        path: &str,
        position: Position,
    ) -> Resolved {
        let from: Arc<str> = from.map_or_else(|| self.recorder.root(), Arc::from);
        let line = position.line().unwrap_or(0);
        let at = At::call(Site {
            file: from.clone(),
            line,
            column: position.position().unwrap_or(0),
        });
        let refuse = |report: Box<Report>| {
            self.recorder.report(*report);
            stopped(position)
        };
        let source = self.load(&from, path, &at).map_err(refuse)?;
        if let Some(module) = self.loaded().get(&source.name) {
            return Ok(module.clone());
        }
        self.check(&source, path, &at).map_err(refuse)?;
        let module = self.evaluate(engine, global, source, position)?;
        Ok(module)
    }

    fn loaded(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Shared<Module>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self, from: &str, path: &str, at: &At) -> Result<Source, Box<Report>> {
        let fail = |message: String| Box::new(Report::error(at, message));
        if path.is_empty() || path.contains('\0') {
            return Err(fail(format!("{path:?} is no path to import")));
        }
        let loaded = self.loader.load(from, path);
        loaded.map(Source::without_mark).map_err(|error| {
            let report = fail(format!("failed to import \"{path}\": {error}"));
            match error {
                LoadError::NotFound(_) => Box::new(
                    report
                        .hint("paths are relative to the importing file, `.rhai` may be left out"),
                ),
                LoadError::OutsideRoot(_) => {
                    Box::new(report.hint("put libraries beside the job file or below it"))
                }
                LoadError::NotText(_) | LoadError::Other(_) => report,
            }
        })
    }

    fn check(&self, source: &Source, path: &str, at: &At) -> Result<(), Box<Report>> {
        let limits = &self.recorder.limits;
        let fail = |message: String| Box::new(Report::error(at, message));
        let (mut chain, files) = {
            let state = self.recorder.state();
            (state.importing.clone(), state.files.len())
        };
        chain.insert(0, self.recorder.root());
        if let Some(start) = chain.iter().position(|name| **name == *source.name) {
            let mut names: Vec<&str> = chain[start..].iter().map(|name| &**name).collect();
            names.push(&source.name);
            return Err(fail(format!(
                "files import each other: {}",
                names.join(" -> ")
            )));
        }
        if chain.len() > MAX_DEPTH {
            return Err(fail(format!(
                "imports are nested more than {MAX_DEPTH} deep"
            )));
        }
        if files > limits.modules {
            return Err(fail(format!(
                "more than {} files are imported",
                limits.modules
            )));
        }
        if let Err(problem) = check_text(&source.text, limits) {
            return Err(fail(format!("failed to import \"{path}\": {problem}")));
        }
        if !self.recorder.charge_source(source.text.len()) {
            let most = limits.total_source_bytes;
            return Err(fail(format!(
                "the imported files have more than {most} bytes together"
            )));
        }
        Ok(())
    }

    fn evaluate(
        &self,
        engine: &Engine,
        global: &mut GlobalRuntimeState,
        source: Source,
        position: Position,
    ) -> Resolved {
        let name: Arc<str> = Arc::from(source.name.as_str());
        self.recorder
            .add_source(SourceText::new(name.clone(), source.text.clone()), &name);
        let mut ast: AST = match engine.compile_with_scope(&scope(), &source.text) {
            Ok(ast) => ast,
            Err(error) => {
                self.recorder
                    .add(faults::syntax(&error, &name, &self.recorder));
                return Err(stopped(position));
            }
        };
        ast.set_source(source.name.clone());
        warn_of_hidden_functions(&ast, &name, &self.recorder);
        self.recorder.state().importing.push(name.clone());
        let result = Module::eval_ast_as_new_raw(engine, &mut Scope::new(), global, &ast);
        self.recorder.state().importing.pop();
        match result {
            Ok(mut module) => {
                module.set_id(source.name.clone());
                let module: Shared<Module> = module.into();
                self.loaded().insert(source.name, module.clone());
                Ok(module)
            }
            Err(error) => {
                if let Some(fault) = faults::runtime(*error, &name, &self.recorder) {
                    self.recorder.add(fault);
                }
                Err(stopped(position))
            }
        }
    }
}
