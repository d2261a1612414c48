//! Quantities of resources, exact: thousandths of a core and bytes, no floats.

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};

use aurora_proto::v1;

/// An amount of every scalar resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Resources {
    /// Thousandths of a core, the precision of Mesos.
    pub cpu_millis: u64,
    /// Bytes.
    pub ram: u64,
    /// Bytes.
    pub disk: u64,
    /// Whole devices.
    pub gpu: u64,
}

impl Resources {
    /// Returns whether `self` holds at least `request` of everything.
    pub fn fits(&self, request: &Self) -> bool {
        self.cpu_millis >= request.cpu_millis
            && self.ram >= request.ram
            && self.disk >= request.disk
            && self.gpu >= request.gpu
    }

    /// Returns how many times `request` fits in; at least 1 where it asks for nothing.
    pub fn times(&self, request: &Self) -> u64 {
        let times = |have: u64, want: u64| have.checked_div(want).unwrap_or(u64::MAX);
        times(self.cpu_millis, request.cpu_millis)
            .min(times(self.ram, request.ram))
            .min(times(self.disk, request.disk))
            .min(times(self.gpu, request.gpu))
    }

    /// Subtracts, stopping at zero in each resource.
    #[must_use]
    pub fn saturating_sub(&self, other: &Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_sub(other.cpu_millis),
            ram: self.ram.saturating_sub(other.ram),
            disk: self.disk.saturating_sub(other.disk),
            gpu: self.gpu.saturating_sub(other.gpu),
        }
    }

    /// Converts from the API; negative and non-finite amounts count as zero, as validation has
    /// refused them before.
    pub fn from_proto(resources: &v1::Resources) -> Self {
        Self {
            cpu_millis: cores_to_millis(resources.cpu),
            ram: u64::try_from(resources.ram_bytes).unwrap_or(0),
            disk: u64::try_from(resources.disk_bytes).unwrap_or(0),
            gpu: u64::try_from(resources.gpu).unwrap_or(0),
        }
    }

    /// Converts to the API.
    pub fn to_proto(&self) -> v1::Resources {
        v1::Resources {
            cpu: millis_to_cores(self.cpu_millis),
            ram_bytes: i64::try_from(self.ram).unwrap_or(i64::MAX),
            disk_bytes: i64::try_from(self.disk).unwrap_or(i64::MAX),
            gpu: i64::try_from(self.gpu).unwrap_or(i64::MAX),
        }
    }
}

/// Converts cores to thousandths, rounded to the nearest.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float to integer cast saturates, and NaN gives zero"
)]
pub fn cores_to_millis(cores: f64) -> u64 {
    (cores * 1000.0).round() as u64
}

/// Converts thousandths to cores.
pub fn millis_to_cores(millis: u64) -> f64 {
    // Exact for every machine that can exist: below 2^53 thousandths.
    f64::from(u32::try_from(millis).unwrap_or(u32::MAX)) / 1000.0
}

impl Add for Resources {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_add(other.cpu_millis),
            ram: self.ram.saturating_add(other.ram),
            disk: self.disk.saturating_add(other.disk),
            gpu: self.gpu.saturating_add(other.gpu),
        }
    }
}

impl AddAssign for Resources {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Resources {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.saturating_sub(&other)
    }
}

impl SubAssign for Resources {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MB: u64 = 1024 * 1024;
        write!(
            f,
            "{} cpu, {} MB ram, {} MB disk",
            millis_to_cores(self.cpu_millis),
            self.ram / MB,
            self.disk / MB
        )?;
        if self.gpu > 0 {
            write!(f, ", {} gpu", self.gpu)?;
        }
        Ok(())
    }
}
