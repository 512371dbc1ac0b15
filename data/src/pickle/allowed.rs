//! The whole list of names a pickle may ask for. None of them is called: each stands for a rule in `reduce`.

/// A name on the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// `numpy.core.multiarray._reconstruct` (arrays up to protocol 4).
    Reconstruct,
    /// `numpy.core.numeric._frombuffer` (arrays in protocol 5).
    FromBuffer,
    /// `numpy.core.multiarray.scalar`.
    Scalar,
    /// `numpy.ndarray`, only as an argument of [`Name::Reconstruct`].
    NdArray,
    /// `numpy.dtype`.
    DType,
    /// `_codecs.encode`: how protocols below 3 write bytes.
    Encode,
    /// `builtins.bytes`: how protocols below 3 write empty bytes.
    Bytes,
    /// `builtins.bytearray`.
    ByteArray,
    /// `copyreg._reconstructor`: how protocols below 2 write objects.
    Reconstructor,
    /// `builtins.object`, only as an argument of [`Name::Reconstructor`].
    Object,
    /// `builtins.list`.
    List,
    /// `builtins.tuple`.
    Tuple,
    /// `builtins.dict` and `collections.OrderedDict`.
    Dict,
    /// `collections.defaultdict`; what it makes by default is never used.
    DefaultDict,
    /// `builtins.set` and `builtins.frozenset`.
    Set,
    /// `pathlib.PosixPath` and its relatives: a text.
    Path,
    /// `navsim.common.dataclasses.Trajectory`.
    Trajectory,
    /// `nuplan.planning.simulation.trajectory.trajectory_sampling.TrajectorySampling`.
    TrajectorySampling,
}

/// Module and name of a submission's trajectory.
pub const TRAJECTORY: [&str; 2] = ["navsim.common.dataclasses", "Trajectory"];
/// Module and name of its sampling.
pub const SAMPLING: [&str; 2] = ["nuplan.planning.simulation.trajectory.trajectory_sampling", "TrajectorySampling"];

impl Name {
    /// The rule of a name, `None` for every name that is not on the list.
    pub fn find(module: &str, name: &str) -> Option<Name> {
        Some(match (module, name) {
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Name::Reconstruct,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Name::Scalar,
            ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Name::FromBuffer,
            ("numpy", "ndarray") => Name::NdArray,
            ("numpy", "dtype") => Name::DType,
            ("_codecs", "encode") => Name::Encode,
            ("builtins" | "__builtin__", "bytes") => Name::Bytes,
            ("builtins" | "__builtin__", "bytearray") => Name::ByteArray,
            ("copyreg" | "copy_reg", "_reconstructor") => Name::Reconstructor,
            ("builtins" | "__builtin__", "object") => Name::Object,
            ("builtins" | "__builtin__", "list") => Name::List,
            ("builtins" | "__builtin__", "tuple") => Name::Tuple,
            ("builtins" | "__builtin__", "dict") | ("collections", "OrderedDict") => Name::Dict,
            ("collections", "defaultdict") => Name::DefaultDict,
            ("builtins" | "__builtin__", "set" | "frozenset") => Name::Set,
            ("pathlib" | "pathlib._local", "PosixPath" | "PurePosixPath" | "Path") => Name::Path,
            _ if [module, name] == TRAJECTORY => Name::Trajectory,
            _ if [module, name] == SAMPLING => Name::TrajectorySampling,
            _ => return None,
        })
    }

    /// As a message shows it.
    pub fn shown(self) -> &'static str {
        match self {
            Name::Reconstruct => "numpy _reconstruct",
            Name::FromBuffer => "numpy _frombuffer",
            Name::Scalar => "numpy scalar",
            Name::NdArray => "numpy.ndarray",
            Name::DType => "numpy.dtype",
            Name::Encode => "_codecs.encode",
            Name::Bytes => "bytes",
            Name::ByteArray => "bytearray",
            Name::Reconstructor => "copyreg._reconstructor",
            Name::Object => "object",
            Name::List => "list",
            Name::Tuple => "tuple",
            Name::Dict => "dict",
            Name::DefaultDict => "defaultdict",
            Name::Set => "set",
            Name::Path => "a path",
            Name::Trajectory => "Trajectory",
            Name::TrajectorySampling => "TrajectorySampling",
        }
    }
}
