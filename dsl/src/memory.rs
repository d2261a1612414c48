//! Keeps an eye on what a script holds.
//!
//! The interpreter measures results of functions, but not a map or array that grows by assignment
//! to its fields. So the variables in scope are weighed now and then, function by function.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rhai::{Array, Dynamic, EvalAltResult, EvalContext, ImmutableString, Map, Position};

use crate::limits::Limits;

/// Accesses to variables between two looks at least; each may add one string of the greatest size.
const BETWEEN_LOOKS: usize = 32;
/// Cells that may be weighed per access, so that looking never costs more than the script's own work.
const CELLS_PER_ACCESS: usize = 256;

/// What is held, in bytes and in single values.
#[derive(Debug, Clone, Copy, Default)]
struct Weight {
    bytes: usize,
    cells: usize,
}

/// The weights of the functions that are being called.
#[derive(Debug)]
pub(crate) struct Scales {
    most: Weight,
    array_items: usize,
    map_fields: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Accesses until the next look.
    wait: usize,
    /// Outermost function first.
    levels: Vec<Weight>,
}

impl Scales {
    pub(crate) fn new(limits: &Limits) -> Self {
        let most = Weight {
            bytes: limits.variable_bytes,
            cells: limits.variable_cells,
        };
        Self {
            most,
            array_items: limits.array_items,
            map_fields: limits.map_fields,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called at each access to a variable; fails once too much is held.
    pub(crate) fn look(
        &self,
        context: &EvalContext<'_, '_, '_, '_, '_, '_>,
    ) -> Result<(), Box<EvalAltResult>> {
        let mut state = self.state();
        if let Some(left) = state.wait.checked_sub(1) {
            state.wait = left;
            return Ok(());
        }
        let mut held = Weight::default();
        let variables = context.scope().iter_raw().map(|(_, _, value)| value);
        for value in context.this_ptr().into_iter().chain(variables) {
            self.weigh(value, &mut held);
        }
        state.wait = BETWEEN_LOOKS.max(held.cells / CELLS_PER_ACCESS);
        state.levels.resize(context.call_level(), Weight::default());
        state.levels.push(held);
        let bytes: usize = state.levels.iter().map(|level| level.bytes).sum();
        let cells: usize = state.levels.iter().map(|level| level.cells).sum();
        if bytes <= self.most.bytes && cells <= self.most.cells {
            return Ok(());
        }
        let what = "all variables together".to_owned();
        Err(EvalAltResult::ErrorDataTooLarge(what, Position::NONE).into())
    }

    /// Adds a value's weight, or as much of it as is too much.
    fn weigh(&self, value: &Dynamic, held: &mut Weight) {
        held.cells += 1;
        held.bytes += std::mem::size_of::<Dynamic>();
        if held.bytes > self.most.bytes || held.cells > self.most.cells {
            return;
        }
        if let Some(text) = value.read_lock::<ImmutableString>() {
            held.bytes += text.len();
        } else if let Some(items) = value.read_lock::<Array>() {
            if items.len() > self.array_items {
                held.cells = held.cells.saturating_add(self.most.cells);
            }
            for item in items.iter() {
                self.weigh(item, held);
            }
        } else if let Some(map) = value.read_lock::<Map>() {
            if map.len() > self.map_fields {
                held.cells = held.cells.saturating_add(self.most.cells);
            }
            for (key, item) in map.iter() {
                held.bytes += key.len();
                self.weigh(item, held);
            }
        }
    }
}
