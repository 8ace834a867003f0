//! The one list of what chaos may use. A feature that is absent here is left out of every action.

/// Something that not every state of the program can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feature {
    /// A group that cannot start keeps its former generation, and the others get the new one.
    BrokenGroup,
    /// `php-fpm reload POOL…`.
    ReloadNames,
    /// `php-fpm reload --changed`.
    ReloadChanged,
    /// `process.php_ini`.
    PhpIni,
}

/// What the program can do today.
const SUPPORTED: &[Feature] = &[Feature::BrokenGroup, Feature::ReloadNames, Feature::ReloadChanged, Feature::PhpIni];

/// Whether chaos may use it.
pub(super) fn supported(feature: Feature) -> bool {
    SUPPORTED.contains(&feature)
}
