//! The rpcs' description is their documentation: each part says what it means (AIP-192), and lists come in pages (AIP-158).

use std::collections::HashMap;

use prost_reflect::{DescriptorPool, EnumDescriptor, FileDescriptor, MessageDescriptor, MethodDescriptor};

use super::nothing_found;

/// The API as it is compiled, comments included.
fn pool() -> DescriptorPool {
    DescriptorPool::decode(selvage_proto::DESCRIPTORS).expect("descriptors")
}

/// Our files: not those that they import from Google.
fn files(pool: &DescriptorPool) -> impl Iterator<Item = FileDescriptor> {
    pool.files().filter(|file| file.package_name().starts_with("selvage."))
}

/// The comments above the declarations of a file, and where these stand, by the declarations' paths.
struct Comments<'a> {
    file: &'a str,
    /// A line, counted from one, and whether a comment stands above it.
    places: HashMap<&'a [i32], (i32, bool)>,
}

impl<'a> Comments<'a> {
    fn of(file: &'a FileDescriptor) -> Self {
        let info = file.file_descriptor_proto().source_code_info.as_ref();
        let locations = info.into_iter().flat_map(|info| &info.location);
        let places = locations.map(|location| {
            let is_explained = location.leading_comments.as_ref().is_some_and(|comment| !comment.trim().is_empty());
            (location.path.as_slice(), (location.span.first().map_or(0, |line| line + 1), is_explained))
        });
        Self { file: file.name(), places: places.collect() }
    }

    /// The finding, if nothing explains this part.
    fn missing(&self, kind: &str, name: &str, path: &[i32]) -> Option<String> {
        let (line, is_explained) = self.places.get(path).copied().unwrap_or_default();
        (!is_explained).then(|| format!("proto/{}:{line}: {kind} {name}", self.file))
    }

    fn of_enum(&self, one: &EnumDescriptor) -> Option<String> {
        self.missing("enum", one.full_name(), one.path())
    }

    fn of_message(&self, message: &MessageDescriptor) -> Vec<String> {
        let own = self.missing("message", message.full_name(), message.path());
        let fields = message.fields().filter_map(|field| self.missing("field", field.full_name(), field.path()));
        let enums = message.child_enums().filter_map(|one| self.of_enum(&one));
        let mut findings: Vec<_> = own.into_iter().chain(fields).chain(enums).collect();
        // The compiler makes a message for each field that is a map; nobody wrote it.
        for inner in message.child_messages().filter(|inner| !inner.is_map_entry()) {
            findings.extend(self.of_message(&inner));
        }
        findings
    }
}

/// Services, rpcs, messages, fields and enums without a comment above them.
fn unexplained(file: &FileDescriptor) -> Vec<String> {
    let comments = Comments::of(file);
    let mut findings: Vec<_> = file.messages().flat_map(|message| comments.of_message(&message)).collect();
    findings.extend(file.enums().filter_map(|one| comments.of_enum(&one)));
    for service in file.services() {
        findings.extend(comments.missing("service", service.full_name(), service.path()));
        let rpcs = service.methods().filter_map(|rpc| comments.missing("rpc", rpc.full_name(), rpc.path()));
        findings.extend(rpcs);
    }
    findings
}

#[test]
fn every_rpc_message_and_field_is_explained() {
    let pool = pool();
    assert!(files(&pool).count() >= 5, "the API is compiled elsewhere now");
    let findings: Vec<_> = files(&pool).flat_map(|file| unexplained(&file)).collect();
    nothing_found(&findings, "Say in a comment above it what it means, its bounds, and when it is empty.");
}

/// Lists that come whole.
const WHOLE: &[(&str, &str)] = &[
    ("ListCategories", "a shop has a dozen; every page shows them all"),
    ("ListFaults", "16 are active at the most; a process keeps no others"),
];

fn lists(file: &FileDescriptor) -> impl Iterator<Item = MethodDescriptor> {
    let rpcs = file.services().flat_map(|service| service.methods().collect::<Vec<_>>());
    let lists = rpcs.filter(|rpc| rpc.name().starts_with("List") || rpc.name().starts_with("Search"));
    lists.filter(|list| WHOLE.iter().all(|(name, _)| list.name() != *name))
}

/// Lists without the fields by which they come in pages.
fn unpaged(file: &FileDescriptor) -> Vec<String> {
    let mut findings = Vec::new();
    for list in lists(file) {
        let (request, response) = (list.input(), list.output());
        for (message, field) in [(&request, "page_size"), (&request, "page_token"), (&response, "next_page_token")] {
            if message.get_field_by_name(field).is_none() {
                findings.push(format!("{}: {} has no {field}", list.full_name(), message.name()));
            }
        }
    }
    findings
}

#[test]
fn lists_come_in_pages() {
    let pool = pool();
    let seen: usize = files(&pool).map(|file| lists(&file).count()).sum();
    assert!(seen >= 4, "only {seen} lists: they are called otherwise now");
    let findings: Vec<_> = files(&pool).flat_map(|file| unpaged(&file)).collect();
    nothing_found(&findings, "Everything that can grow is read in pages: page_size, page_token, next_page_token.");
}

#[cfg(test)]
mod tests {
    use prost_types::FileDescriptorProto;

    use super::*;

    /// The catalogue's file, and what is changed in it.
    fn catalogue(change: impl FnOnce(&mut FileDescriptorProto)) -> FileDescriptor {
        let mut set: Vec<_> = pool().file_descriptor_protos().cloned().collect();
        let file = set.iter_mut().find(|file| file.package() == "selvage.catalogue.v1").expect("the catalogue's file");
        let name = file.name().to_owned();
        change(file);
        let mut pool = DescriptorPool::new();
        pool.add_file_descriptor_protos(set).expect("files that fit");
        pool.get_file_by_name(&name).expect("the catalogue's file")
    }

    #[test]
    fn each_kind_of_part_is_looked_at() {
        let file = catalogue(|file| file.source_code_info = None);
        let findings = unexplained(&file);
        for part in [
            "service selvage.catalogue.v1.Catalogue",
            "rpc selvage.catalogue.v1.Catalogue.GetProduct",
            "message selvage.catalogue.v1.Product",
            "field selvage.catalogue.v1.Product.slug",
            "enum selvage.catalogue.v1.Audience",
            "enum selvage.catalogue.v1.Reservation.State",
        ] {
            assert!(findings.iter().any(|finding| finding.ends_with(part)), "{part}: {findings:?}");
        }
    }

    #[test]
    fn one_missing_comment_is_found_where_it_is_missing() {
        let file = catalogue(|file| {
            let locations = &mut file.source_code_info.as_mut().expect("comments").location;
            let message = locations.iter_mut().find(|location| location.path == [4, 0]).expect("the first message");
            message.leading_comments = Some(" \n".to_owned());
        });
        let findings = unexplained(&file);
        let name = file.messages().next().expect("a message").full_name().to_owned();
        assert!(findings.len() == 1 && findings[0].ends_with(&format!("message {name}")), "{findings:?}");
        assert!(findings[0].starts_with("proto/selvage/catalogue/v1/catalogue.proto:"), "{findings:?}");
    }

    #[test]
    fn a_list_without_pages_is_found() {
        for (message, field) in [
            ("ListProductsRequest", "page_size"),
            ("ListProductsRequest", "page_token"),
            ("ListProductsResponse", "next_page_token"),
        ] {
            let file = catalogue(|file| {
                let of_message = |known: &&mut prost_types::DescriptorProto| known.name() == message;
                let found = file.message_type.iter_mut().find(of_message).expect(message);
                found.field.retain(|known| known.name() != field);
                file.source_code_info = None;
            });
            assert_eq!(
                unpaged(&file),
                [format!("selvage.catalogue.v1.Catalogue.ListProducts: {message} has no {field}")]
            );
        }
    }
}
