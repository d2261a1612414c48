//! What one evaluation may use.
//!
//! The limits bound work and memory as far as an interpreter can; a caller that evaluates files of
//! strangers puts the evaluation into a process with a memory limit besides.

/// Bounds of one evaluation.
///
/// A job file that a person writes stays far below every default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one source file.
    pub source_bytes: usize,
    /// Bytes of all source files together.
    pub total_source_bytes: usize,
    /// Operations of the interpreter, over all files.
    pub operations: u64,
    /// Nested calls of functions.
    pub call_depth: usize,
    /// Nested expressions outside of functions.
    pub expression_depth: usize,
    /// Nested expressions inside of functions.
    pub function_expression_depth: usize,
    /// Bytes of one string, and of all strings in one value.
    pub string_bytes: usize,
    /// Elements of one array, nested ones included.
    pub array_items: usize,
    /// Fields of one map, nested ones included.
    pub map_fields: usize,
    /// Bytes that all variables in scope hold, about.
    pub variable_bytes: usize,
    /// Values that all variables in scope hold, nested ones included.
    pub variable_cells: usize,
    /// Variables in scope at the same time.
    pub variables: usize,
    /// Functions of one file.
    pub functions: usize,
    /// Imported modules.
    pub modules: usize,
    /// Jobs and quotas one file may declare.
    pub declarations: usize,
    /// Bytes of one encoded task; more than this makes every copy of it costly for the scheduler.
    pub task_bytes: usize,
    /// Bytes of everything that was declared, encoded.
    pub declared_bytes: usize,
    /// Bytes of text in all objects made (processes, tasks, ...).
    pub object_bytes: usize,
    /// Objects made.
    pub objects: usize,
    /// Diagnostics kept; later ones are only counted.
    pub diagnostics: usize,
    /// Lines kept of what the file printed.
    pub output_lines: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            source_bytes: 1 << 20,
            total_source_bytes: 4 << 20,
            operations: 5_000_000,
            call_depth: 32,
            expression_depth: 64,
            function_expression_depth: 48,
            string_bytes: 256 << 10,
            array_items: 10_000,
            map_fields: 10_000,
            variable_bytes: 32 << 20,
            variable_cells: 100_000,
            variables: 1_000,
            functions: 1_000,
            modules: 64,
            declarations: 10_000,
            task_bytes: 64 << 10,
            declared_bytes: 32 << 20,
            object_bytes: 32 << 20,
            objects: 100_000,
            diagnostics: 100,
            output_lines: 1_000,
        }
    }
}
