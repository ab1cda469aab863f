//! Arguments and environment.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::start;
use crate::sync::Mutex;

/// The environment, once it was asked for: changes are the program's own.
static VARIABLES: Mutex<Option<BTreeMap<String, String>>> = Mutex::new(None);

fn with_variables<R>(use_them: impl FnOnce(&mut BTreeMap<String, String>) -> R) -> R {
    let mut variables = VARIABLES.lock();
    let variables = variables.get_or_insert_with(|| {
        let pairs = start::info().into_iter().flat_map(|info| info.environment());
        pairs.filter_map(|pair| pair.split_once('=')).map(|(n, v)| (n.to_string(), v.to_string())).collect()
    });
    use_them(variables)
}

/// The arguments, the program's name first.
pub fn args() -> impl Iterator<Item = String> {
    start::info().into_iter().flat_map(|info| info.arguments()).map(ToString::to_string)
}

/// All variables of the environment, by name.
pub fn vars() -> impl Iterator<Item = (String, String)> {
    with_variables(|variables| variables.clone()).into_iter()
}

/// Calls `see` with name and value of every variable, by name.
pub(crate) fn for_each_variable(mut see: impl FnMut(&str, &str)) {
    with_variables(|variables| variables.iter().for_each(|(name, value)| see(name, value)));
}

/// The environment as `NAME=value`, for a program to be started.
pub fn pairs() -> Vec<String> {
    vars().map(|(name, value)| name + "=" + &value).collect()
}

/// A variable.
pub fn var(name: &str) -> Option<String> {
    with_variables(|variables| variables.get(name).cloned())
}

/// Sets a variable.
pub fn set_var(name: &str, value: &str) {
    with_variables(|variables| variables.insert(name.to_string(), value.to_string()));
}

/// Removes a variable.
pub fn remove_var(name: &str) {
    with_variables(|variables| variables.remove(name));
}

/// The working directory, once it was asked for or set.
static DIRECTORY: Mutex<Option<String>> = Mutex::new(None);

/// The working directory: `/` for whoever was given none.
pub fn current_dir() -> crate::io::Result<String> {
    let mut directory = DIRECTORY.lock();
    let given = || start::info().map(|info| info.directory()).filter(|directory| !directory.is_empty());
    Ok(directory.get_or_insert_with(|| given().unwrap_or("/").to_string()).clone())
}

/// Sets the working directory.
pub fn set_current_dir(path: &str) -> crate::io::Result<()> {
    let path = crate::fs::directory(&crate::fs::absolute(path)?)?;
    *DIRECTORY.lock() = Some(path);
    Ok(())
}
