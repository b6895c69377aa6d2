//! `--report FORMAT=FILE` of `verify` and `sandbox --grade`.

use std::fs::File;
use std::path::PathBuf;

use counterfoil_report::Report;

use crate::Failure;

/// A report to write.
#[derive(Clone, Debug)]
pub(crate) struct ReportFile {
    format: Format,
    path: PathBuf,
}

#[derive(Clone, Copy, Debug)]
enum Format {
    Html,
    Junit,
    Json,
}

/// Parses `FORMAT=FILE`.
pub(crate) fn report_file(text: &str) -> Result<ReportFile, String> {
    let (format, path) = text
        .split_once('=')
        .filter(|(_, path)| !path.is_empty())
        .ok_or("write it as FORMAT=FILE, such as html=report.html")?;
    let format = match format {
        "html" => Format::Html,
        "junit" => Format::Junit,
        "json" => Format::Json,
        _ => {
            return Err(format!(
                "there is no format `{format}`: the formats are html, junit and json"
            ));
        }
    };
    Ok(ReportFile { format, path: path.into() })
}

/// Checks that the files can be written, before anything runs whose result would be lost. Creates
/// none.
pub(crate) fn prepare(reports: &[ReportFile]) -> Result<(), Failure> {
    for (at, ReportFile { path, .. }) in reports.iter().enumerate() {
        if reports[..at].iter().any(|earlier| earlier.path == *path) {
            return Err(Failure::usage(format!(
                "two reports can't be one file: {}",
                path.display()
            )));
        }
        let is_new = !path.exists();
        let opened = File::options().append(true).create(true).open(path);
        opened.map_err(|e| {
            Failure::usage(format!("the report {} can't be written: {e}", path.display()))
        })?;
        if is_new {
            std::fs::remove_file(path).map_err(Failure::usage)?;
        }
    }
    Ok(())
}

pub(crate) fn write(reports: &[ReportFile], report: &Report) -> Result<(), Failure> {
    for ReportFile { format, path } in reports {
        let text = match format {
            Format::Html => counterfoil_report::html(report),
            Format::Junit => counterfoil_report::junit(report),
            Format::Json => {
                let json = report.to_json().map_err(Failure::failed)?;
                serde_json::to_string_pretty(&json).map_err(Failure::failed)? + "\n"
            }
        };
        std::fs::write(path, text).map_err(|e| {
            Failure::failed(format!("the report {} can't be written: {e}", path.display()))
        })?;
    }
    Ok(())
}
