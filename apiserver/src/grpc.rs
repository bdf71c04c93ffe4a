//! The gRPC service `mainstay.api.v1.Objects`: the registry's way for programs that want less work per object than REST is.

mod batch;
mod caller;
mod discovery;
mod elsewhere;
mod failure;
mod options;
mod reads;
mod writes;

use std::sync::Arc;
use std::time::Instant;

use futures::stream::BoxStream;
use proto::api;
use proto::api::objects_server::{Objects, ObjectsServer};
use tonic::{Request, Response};

use self::caller::Caller;
use self::failure::Failed;
use crate::rest::{BODY_BYTES_MAX, Front};

/// Answers calls with what REST answers with.
pub struct Api {
    front: Arc<Front>,
}

/// The service over a front. Its requests carry the peer of their connection as an extension.
#[must_use]
pub fn service(front: Arc<Front>) -> ObjectsServer<Api> {
    let api = Api { front };
    ObjectsServer::new(api).max_decoding_message_size(BODY_BYTES_MAX)
}

/// Whether a request is a gRPC call and not one of REST.
#[must_use]
pub fn is_call<B>(request: &http::Request<B>) -> bool {
    request.version() == http::Version::HTTP_2
        && request
            .headers()
            .get(http::header::CONTENT_TYPE)
            .is_some_and(|name| name.as_bytes().starts_with(b"application/grpc"))
}

impl Api {
    /// Who calls, and what with. The place that the call had while its message was read is free from here on.
    async fn open<T>(&self, request: Request<T>) -> Result<(Caller<'_>, T), tonic::Status> {
        let (metadata, extensions, message) = request.into_parts();
        let caller = Caller::of(self, metadata.into_headers(), &extensions).await;
        Ok((caller.map_err(Failed::from)?, message))
    }

    /// The answer to a call, which is counted.
    async fn counted<T>(
        &self,
        method: &'static str,
        answering: impl Future<Output = Answer<T>>,
    ) -> Answer<T> {
        let began = Instant::now();
        let answer = answering.await;
        let code = answer
            .as_ref()
            .map_or_else(tonic::Status::code, |_| tonic::Code::Ok);
        self.front
            .load
            .count_call(method, failure::name(code), began.elapsed());
        answer
    }
}

type Answer<T> = Result<Response<T>, tonic::Status>;

#[tonic::async_trait]
impl Objects for Api {
    type ListStream = BoxStream<'static, Result<api::ListChunk, tonic::Status>>;
    type WatchStream = BoxStream<'static, Result<api::WatchResponse, tonic::Status>>;

    async fn get(&self, request: Request<api::GetRequest>) -> Answer<api::GetResponse> {
        let answering = async {
            let (caller, message) = self.open(request).await?;
            Ok(Response::new(reads::get(&caller, &message).await?))
        };
        self.counted("Get", answering).await
    }

    async fn list(&self, request: Request<api::ListRequest>) -> Answer<Self::ListStream> {
        let answering = async {
            let (caller, message) = self.open(request).await?;
            Ok(Response::new(reads::list(&caller, &message).await?))
        };
        self.counted("List", answering).await
    }

    async fn watch(&self, request: Request<api::WatchRequest>) -> Answer<Self::WatchStream> {
        let answering = async {
            let (caller, message) = self.open(request).await?;
            Ok(Response::new(reads::watch(&caller, &message).await?))
        };
        self.counted("Watch", answering).await
    }

    async fn create(&self, request: Request<api::CreateRequest>) -> Answer<api::WriteResponse> {
        let answering = async {
            let (caller, message) = self.open(request).await?;
            let made = writes::create(&caller, &message).await?;
            Ok(Response::new(made.answer(true)))
        };
        self.counted("Create", answering).await
    }

    async fn update(&self, request: Request<api::UpdateRequest>) -> Answer<api::WriteResponse> {
        let answering = async {
            let (caller, message) = self.open(request).await?;
            let made = writes::update(&caller, &message).await?;
            Ok(Response::new(made.answer(true)))
        };
        self.counted("Update", answering).await
    }

    async fn patch(&self, request: Request<api::PatchRequest>) -> Answer<api::WriteResponse> {
        let answering = async {
            let (caller, message) = self.open(request).await?;
            let made = writes::patch(&caller, &message).await?;
            Ok(Response::new(made.answer(true)))
        };
        self.counted("Patch", answering).await
    }

    async fn apply(&self, request: Request<api::ApplyRequest>) -> Answer<api::WriteResponse> {
        let answering = async {
            let (caller, message) = self.open(request).await?;
            let made = writes::apply(&caller, &message).await?;
            Ok(Response::new(made.answer(true)))
        };
        self.counted("Apply", answering).await
    }

    async fn delete(&self, request: Request<api::DeleteRequest>) -> Answer<api::DeleteResponse> {
        let answering = async {
            let (caller, message) = self.open(request).await?;
            let made = writes::delete(&caller, &message).await?;
            Ok(Response::new(made.answer(true)))
        };
        self.counted("Delete", answering).await
    }

    async fn delete_collection(
        &self,
        request: Request<api::DeleteCollectionRequest>,
    ) -> Answer<api::DeleteCollectionResponse> {
        let answering = async {
            let (caller, message) = self.open(request).await?;
            let answer = writes::delete_collection(&caller, &message).await?;
            Ok(Response::new(answer))
        };
        self.counted("DeleteCollection", answering).await
    }

    async fn batch(&self, request: Request<api::BatchRequest>) -> Answer<api::BatchResponse> {
        let answering = async {
            let (caller, message) = self.open(request).await?;
            Ok(Response::new(batch::batch(&caller, message).await?))
        };
        self.counted("Batch", answering).await
    }

    async fn bind(&self, request: Request<api::BindRequest>) -> Answer<api::BindResponse> {
        let answering = async {
            let (caller, message) = self.open(request).await?;
            Ok(Response::new(batch::bind(&caller, message).await?))
        };
        self.counted("Bind", answering).await
    }

    async fn resources(
        &self,
        request: Request<api::ResourcesRequest>,
    ) -> Answer<api::ResourcesResponse> {
        let answering = async {
            let (caller, _) = self.open(request).await?;
            Ok(Response::new(discovery::resources(&caller).await?))
        };
        self.counted("Resources", answering).await
    }

    async fn read(&self, request: Request<api::ReadRequest>) -> Answer<api::ReadResponse> {
        let answering = async {
            let (caller, message) = self.open(request).await?;
            Ok(Response::new(elsewhere::read(&caller, &message).await?))
        };
        self.counted("Read", answering).await
    }
}
