//! Reads job files: text, of a bounded size, from below one directory.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use aurora_dsl::{LoadError, Source, SourceLoader};

/// Bytes of one file; the language's own limit.
const MAX_SOURCE: u64 = 1 << 20;

/// The directory of a job file: what its imports may come from.
#[derive(Debug)]
pub(super) struct FileLoader {
    /// As the user wrote it, to be shown.
    shown: PathBuf,
    /// Where it really is, without links.
    root: PathBuf,
}

/// Why a job file cannot be read: the message and the hint.
pub(super) type Unreadable = (String, &'static str);

impl FileLoader {
    /// Reads the job file itself and returns it with the loader for its imports.
    pub(super) fn open(path: &Path) -> Result<(Self, Source), Unreadable> {
        let shown = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
        let directory = if shown.as_os_str().is_empty() {
            Path::new(".")
        } else {
            &shown
        };
        let text = read_text(path).map_err(|fault| fault.describe(path))?;
        if text.trim().is_empty() {
            return Err((
                format!("`{}` is empty", path.display()),
                "a job file calls job(#{…}) or service(#{…}); see dsl-examples/",
            ));
        }
        let root =
            fs::canonicalize(directory).map_err(|error| Fault::Io(error).describe(directory))?;
        let name = path
            .file_name()
            .map_or_else(|| path.to_owned(), PathBuf::from);
        let loader = Self { shown, root };
        let source = Source::new(loader.name_of(&name), text);
        Ok((loader, source))
    }

    /// Returns the name under which diagnostics show a file below the root.
    fn name_of(&self, relative: &Path) -> String {
        self.shown.join(relative).display().to_string()
    }

    /// Returns the path below the root that `path` means in the file `from`.
    fn resolve(&self, from: &str, path: &str) -> Result<PathBuf, LoadError> {
        let outside = || LoadError::OutsideRoot(path.to_owned());
        let from = Path::new(from)
            .strip_prefix(&self.shown)
            .unwrap_or_else(|_| Path::new(""));
        let mut resolved = from.parent().unwrap_or_else(|| Path::new("")).to_owned();
        for component in Path::new(path).components() {
            match component {
                Component::CurDir => {}
                Component::Normal(name) => resolved.push(name),
                Component::ParentDir => {
                    if !resolved.pop() {
                        return Err(outside());
                    }
                }
                Component::RootDir | Component::Prefix(_) => return Err(outside()),
            }
        }
        if resolved
            .extension()
            .is_none_or(|extension| extension != "rhai")
        {
            resolved.as_mut_os_string().push(".rhai");
        }
        Ok(resolved)
    }
}

impl SourceLoader for FileLoader {
    fn load(&self, from: &str, path: &str) -> Result<Source, LoadError> {
        let relative = self.resolve(from, path)?;
        let shown = self.name_of(&relative);
        // Links are followed before the check, so that none leads out.
        let real = match fs::canonicalize(self.root.join(&relative)) {
            Ok(real) => real,
            Err(error) => return Err(Fault::Io(error).for_import(shown)),
        };
        let Ok(below) = real.strip_prefix(&self.root) else {
            return Err(LoadError::OutsideRoot(shown));
        };
        if below
            .extension()
            .is_none_or(|extension| extension != "rhai")
        {
            return Err(LoadError::Other(format!(
                "`{shown}` leads to a file that is no .rhai file"
            )));
        }
        let text = read_text(&real).map_err(|fault| fault.for_import(shown))?;
        // Named by where it really is: a cycle through a link is a cycle.
        Ok(Source::new(self.name_of(below), text))
    }
}

/// What can be wrong with a file before it is looked at as Rhai.
#[derive(Debug)]
enum Fault {
    Io(io::Error),
    Directory,
    Special,
    TooBig(u64),
    Binary,
    NotUtf8(usize),
}

impl Fault {
    fn describe(&self, path: &Path) -> Unreadable {
        let path = path.display();
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::NotFound => (
                format!("no file `{path}`"),
                "check the path; it is relative to where you are",
            ),
            Self::Io(error) => (
                format!("failed to read `{path}`: {error}"),
                "check the file's permissions",
            ),
            Self::Directory => (
                format!("`{path}` is a directory"),
                "name the job file in it",
            ),
            Self::Special => (
                format!("`{path}` is no regular file"),
                "write the job to a file first",
            ),
            Self::TooBig(size) => (
                format!("`{path}` has {size} bytes; a job file has at most {MAX_SOURCE}"),
                "is this the right file? Large data belongs next to the job, not into it",
            ),
            Self::Binary => (
                format!("`{path}` is a binary file"),
                "a job file is text in the language Rhai",
            ),
            Self::NotUtf8(at) => (
                format!("`{path}` is not UTF-8 text: byte {} is wrong", at + 1),
                "save the file as UTF-8",
            ),
        }
    }

    fn for_import(self, shown: String) -> LoadError {
        match self {
            Self::Io(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                LoadError::NotFound(shown)
            }
            Self::NotUtf8(_) | Self::Binary => LoadError::NotText(shown),
            Self::Io(_) | Self::Directory | Self::Special | Self::TooBig(_) => {
                LoadError::Other(self.describe(Path::new(&shown)).0)
            }
        }
    }
}

fn read_text(path: &Path) -> Result<String, Fault> {
    // Asked before opening: to open a pipe waits for its writer.
    let metadata = fs::metadata(path).map_err(Fault::Io)?;
    if metadata.is_dir() {
        return Err(Fault::Directory);
    }
    if !metadata.is_file() {
        return Err(Fault::Special);
    }
    if metadata.len() > MAX_SOURCE {
        return Err(Fault::TooBig(metadata.len()));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(Fault::Io)?;
    file.take(MAX_SOURCE + 1)
        .read_to_end(&mut bytes)
        .map_err(Fault::Io)?;
    if bytes.len() as u64 > MAX_SOURCE {
        return Err(Fault::TooBig(bytes.len() as u64));
    }
    if bytes.contains(&0) {
        return Err(Fault::Binary);
    }
    String::from_utf8(bytes).map_err(|error| Fault::NotUtf8(error.utf8_error().valid_up_to()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Files {
        top: tempfile::TempDir,
    }

    impl Files {
        fn new() -> Self {
            let top = tempfile::tempdir().unwrap();
            fs::create_dir_all(top.path().join("jobs/lib")).unwrap();
            fs::write(top.path().join("jobs/main.rhai"), "1").unwrap();
            fs::write(top.path().join("jobs/lib/a.rhai"), "2").unwrap();
            fs::write(top.path().join("jobs/notes.txt"), "x").unwrap();
            fs::write(top.path().join("secret.rhai"), "3").unwrap();
            Self { top }
        }

        fn path(&self, relative: &str) -> PathBuf {
            self.top.path().join(relative)
        }

        fn loader(&self) -> (FileLoader, Source) {
            FileLoader::open(&self.path("jobs/main.rhai")).unwrap()
        }

        fn import(&self, path: &str) -> Result<Source, LoadError> {
            let (loader, main) = self.loader();
            loader.load(&main.name, path)
        }
    }

    #[test]
    fn import_is_found_with_and_without_its_extension() {
        let files = Files::new();
        let expected = Source::new(files.path("jobs/lib/a.rhai").display().to_string(), "2");
        for path in ["lib/a", "lib/a.rhai", "./lib/a", "lib/../lib/a"] {
            assert_eq!(files.import(path).unwrap(), expected, "{path}");
        }
    }

    #[test]
    fn import_in_a_library_is_relative_to_the_library() {
        let files = Files::new();
        fs::write(files.path("jobs/lib/b.rhai"), "4").unwrap();
        let (loader, main) = files.loader();
        let library = loader.load(&main.name, "lib/a").unwrap();
        assert_eq!(loader.load(&library.name, "b").unwrap().text, "4");
        assert_eq!(
            loader.load(&library.name, "../main").unwrap().name,
            main.name
        );
        let outside = loader.load(&library.name, "../../secret");
        assert!(
            matches!(outside, Err(LoadError::OutsideRoot(_))),
            "{outside:?}"
        );
    }

    #[test]
    fn nothing_outside_of_the_root_is_read() {
        let files = Files::new();
        symlink(files.path("secret.rhai"), files.path("jobs/link.rhai")).unwrap();
        symlink(files.top.path(), files.path("jobs/up")).unwrap();
        let absolute = files.path("secret").display().to_string();
        for path in [
            "../secret",
            "lib/../../secret",
            "link",
            "up/secret",
            &absolute,
        ] {
            let result = files.import(path);
            assert!(
                matches!(result, Err(LoadError::OutsideRoot(_))),
                "{path}: {result:?}"
            );
        }
    }

    #[test]
    fn root_with_a_common_prefix_is_another_directory() {
        let files = Files::new();
        fs::create_dir(files.path("jobs-2")).unwrap();
        fs::write(files.path("jobs-2/x.rhai"), "5").unwrap();
        symlink(files.path("jobs-2/x.rhai"), files.path("jobs/x.rhai")).unwrap();
        assert!(matches!(files.import("x"), Err(LoadError::OutsideRoot(_))));
    }

    #[test]
    fn only_rhai_files_are_imported() {
        let files = Files::new();
        symlink(files.path("jobs/notes.txt"), files.path("jobs/notes.rhai")).unwrap();
        assert!(matches!(
            files.import("notes.txt"),
            Err(LoadError::NotFound(_))
        ));
        assert!(matches!(files.import("notes"), Err(LoadError::Other(_))));
        assert!(matches!(
            files.import("nothing"),
            Err(LoadError::NotFound(_))
        ));
        assert!(files.import("nul\0byte").is_err());
    }

    #[test]
    fn files_that_are_no_text_say_so() {
        let files = Files::new();
        let write = |name: &str, bytes: &[u8]| {
            let path = files.path(name);
            fs::write(&path, bytes).unwrap();
            FileLoader::open(&path).unwrap_err().0
        };
        assert!(write("nul.rhai", b"let x = 1;\0").contains("binary"));
        assert!(write("latin.rhai", b"// caf\xe9").contains("byte 7"));
        assert!(write("empty.rhai", b" \n").contains("empty"));
        assert!(write("big.rhai", &vec![b' '; 1 << 21]).contains("2097152 bytes"));
        let directory = FileLoader::open(&files.path("jobs")).unwrap_err().0;
        assert!(directory.contains("directory"), "{directory}");
        let missing = FileLoader::open(&files.path("none.rhai")).unwrap_err().0;
        assert!(missing.contains("no file"), "{missing}");
        let device = FileLoader::open(Path::new("/dev/zero")).unwrap_err().0;
        assert!(device.contains("no regular file"), "{device}");
    }
}
