//! The service as gRPC has it: Flight SQL's calls, and those of Flight that the crate leaves to its user.

use super::calls::{FlightSql, identity};
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::{Any, Command};
use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, Criteria, Empty, FlightData,
    FlightDescriptor, FlightInfo, HandshakeRequest, PollInfo, SchemaAsIpc, SchemaResult, Ticket,
};
use futures::StreamExt;
use futures::stream;
use prost::Message;
use tonic::{Request, Response, Status, Streaming};

/// `CancelFlightInfo` of Flight itself, which newer clients send in place of Flight SQL's `CancelQuery`.
const CANCEL_FLIGHT_INFO: &str = "CancelFlightInfo";

/// What can be asked by `DoAction`.
const ACTIONS: [(&str, &str); 4] = [
    ("CreatePreparedStatement", "Prepares a query. Takes ActionCreatePreparedStatementRequest"),
    ("ClosePreparedStatement", "Forgets a prepared statement. Takes ActionClosePreparedStatementRequest"),
    ("CancelQuery", "Ends a query that runs. Takes ActionCancelQueryRequest"),
    (CANCEL_FLIGHT_INFO, "Ends a query that runs. Takes CancelFlightInfoRequest"),
];

/// The whole service.
#[derive(Debug)]
pub struct Service(pub FlightSql);

#[tonic::async_trait]
impl FlightService for Service {
    type HandshakeStream = <FlightSql as FlightService>::HandshakeStream;
    type ListFlightsStream = <FlightSql as FlightService>::ListFlightsStream;
    type DoGetStream = <FlightSql as FlightService>::DoGetStream;
    type DoPutStream = <FlightSql as FlightService>::DoPutStream;
    type DoActionStream = <FlightSql as FlightService>::DoActionStream;
    type ListActionsStream = <FlightSql as FlightService>::ListActionsStream;
    type DoExchangeStream = <FlightSql as FlightService>::DoExchangeStream;

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        FlightService::handshake(&self.0, request).await
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        self.0.list_flights(request).await
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        self.0.get_flight_info(request).await
    }

    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        self.0.poll_flight_info(request).await
    }

    /// The schema of what a command would answer.
    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let wrong = |error: &dyn std::fmt::Display| Status::invalid_argument(error.to_string());
        let any = Any::decode(&*request.get_ref().cmd).map_err(|error| wrong(&error))?;
        let schema = match Command::try_from(any).map_err(|error| wrong(&error))? {
            Command::CommandStatementQuery(query) => self.0.shape(&query.query).await?.schema,
            Command::CommandPreparedStatementQuery(query) => {
                self.0.statement(&identity(&request)?, &query.prepared_statement_handle)?.shape.schema
            }
            _ => {
                let info = self.0.get_flight_info(request).await?.into_inner();
                info.try_decode_schema().map_err(|error| Status::internal(error.to_string()))?.into()
            }
        };
        let result = SchemaAsIpc::new(&schema, &Default::default()).try_into();
        result.map(Response::new).map_err(|error: arrow::error::ArrowError| Status::internal(error.to_string()))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        self.0.do_get(request).await
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        self.0.do_put(request).await
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        if request.get_ref().r#type != CANCEL_FLIGHT_INFO {
            return self.0.do_action(request).await;
        }
        let asked = CancelFlightInfoRequest::decode(&*request.get_ref().body);
        let asked = asked.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let info = asked.info.ok_or_else(|| Status::invalid_argument("a request without its FlightInfo"))?;
        let cancelled = self.0.cancel(&identity(&request)?, &info);
        let status = if cancelled { CancelStatus::Cancelled } else { CancelStatus::NotCancellable };
        let body = CancelFlightInfoResult { status: status as i32 }.encode_to_vec().into();
        Ok(Response::new(stream::once(async { Ok(arrow_flight::Result { body }) }).boxed()))
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        let action = |(name, says): (&str, &str)| Ok(ActionType { r#type: name.into(), description: says.into() });
        Ok(Response::new(stream::iter(ACTIONS.map(action)).boxed()))
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        self.0.do_exchange(request).await
    }
}
