//! The server around the tool.

use super::stdio::Stdio;
use super::tool;
use crate::base::exit::{Exit, Failure};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer, ServiceExt};
use rmcp::{ErrorData, ServerHandler};
use serde_json::Value;
use std::sync::Arc;

struct Peers;

impl ServerHandler for Peers {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("iapeer", env!("CARGO_PKG_VERSION")))
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let Value::Object(schema) = tool::schema() else {
            return Err(ErrorData::internal_error("the schema is no object", None));
        };
        tool::note_listed();
        Ok(ListToolsResult::with_all_items(vec![Tool::new(tool::NAME, tool::description(), Arc::new(schema))]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if request.name != tool::NAME {
            return Err(ErrorData::invalid_params(
                format!("no tool {:?}: there is {}", request.name, tool::NAME),
                None,
            ));
        }
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        // Waiting for a message to settle blocks this thread; other requests are served meanwhile.
        let called = tokio::task::spawn_blocking(move || tool::call(arguments)).await;
        let result = match called {
            Ok(Ok(report)) => CallToolResult::success(vec![ContentBlock::text(report.line())]),
            Ok(Err(failure)) => CallToolResult::error(vec![ContentBlock::text(tool::not_accepted(&failure))]),
            Err(error) => CallToolResult::error(vec![ContentBlock::text(format!("failed: {error}"))]),
        };
        Ok(result.into())
    }
}

/// Serves on stdin and stdout until the client goes. Nothing but protocol is written to stdout.
pub fn serve() -> Result<Exit, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(Exit::Internal, error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| failed(&error))?;
    runtime.block_on(async {
        match Peers.serve(Stdio::new()).await {
            Ok(service) => service.waiting().await.map(|_| Exit::Ok).map_err(|error| failed(&error)),
            // A client that closes the connection before its first request is not a failure.
            Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => Ok(Exit::Ok),
            Err(error) => Err(failed(&error)),
        }
    })
}
