//! Tables: announcing and containers.

use super::{Default, Field, Kind, ObjectSchema, TextRule, Type};

pub(super) static ANNOUNCER: ObjectSchema = ObjectSchema {
    kind: Kind::Announcer,
    name: "announcer",
    aliases: &[],
    doc: "Registers instances with service discovery.",
    fields: &[
        Field::or(
            "primary_port",
            Type::Text(TextRule::PortName),
            Default::Text("http"),
            "The port that is announced first.",
        ),
        Field::optional(
            "portmap",
            Type::TextMap { numbers: true },
            "Name to another name or to a number; #{ aurora: primary_port } if left out.",
        ),
        Field::optional("zk_path", Type::LINE, "Where, if not in the usual place."),
    ],
};

pub(super) static CONTAINER: ObjectSchema = ObjectSchema {
    kind: Kind::Container,
    name: "container",
    aliases: &[],
    doc: "Deprecated wrapper: `container: docker(#{…})` is enough.",
    fields: &[Field::required(
        "docker",
        Type::object(&[Kind::Docker]),
        "The container.",
    )],
};

pub(super) static DOCKER: ObjectSchema = ObjectSchema {
    kind: Kind::Docker,
    name: "docker",
    aliases: &[],
    doc: "A Docker container.",
    fields: &[
        Field::required("image", Type::LINE, "The image's name, with its tag."),
        Field::or(
            "parameters",
            Type::List(&Type::object(&[Kind::DockerParameter])),
            Default::Empty,
            "Options of docker's command line.",
        ),
    ],
};

pub(super) static DOCKER_PARAMETER: ObjectSchema = ObjectSchema {
    kind: Kind::DockerParameter,
    name: "docker_parameter",
    aliases: &["parameter"],
    doc: "An option of docker's command line.",
    fields: &[
        Field::required("name", Type::LINE, "Without dashes."),
        Field::required("value", Type::Text(TextRule::Opaque), "Its value."),
    ],
};

pub(super) static MESOS: ObjectSchema = ObjectSchema {
    kind: Kind::Mesos,
    name: "mesos",
    aliases: &[],
    doc: "A Mesos container.",
    fields: &[
        Field::optional(
            "image",
            Type::choice(&[Kind::DockerImage, Kind::AppcImage]),
            "The host's own file system if left out.",
        ),
        Field::or(
            "volumes",
            Type::List(&Type::object(&[Kind::Volume])),
            Default::Empty,
            "Directories of the host.",
        ),
    ],
};

pub(super) static DOCKER_IMAGE: ObjectSchema = ObjectSchema {
    kind: Kind::DockerImage,
    name: "docker_image",
    aliases: &[],
    doc: "A Docker image for a Mesos container.",
    fields: &[
        Field::required("name", Type::LINE, "The image's name."),
        Field::required("tag", Type::LINE, "The image's tag."),
    ],
};

pub(super) static APPC_IMAGE: ObjectSchema = ObjectSchema {
    kind: Kind::AppcImage,
    name: "appc_image",
    aliases: &[],
    doc: "An AppC image for a Mesos container.",
    fields: &[
        Field::required("name", Type::LINE, "The image's name."),
        Field::required("image_id", Type::LINE, "The image's id."),
    ],
};

pub(super) static VOLUME: ObjectSchema = ObjectSchema {
    kind: Kind::Volume,
    name: "volume",
    aliases: &[],
    doc: "A directory of the host inside of a container.",
    fields: &[
        Field::required("container_path", Type::LINE, "Where the container sees it."),
        Field::required("host_path", Type::LINE, "Where it is on the host."),
        Field::required("mode", Type::OneOf(&["RO", "RW"]), "Read only or not."),
    ],
};
