//! What the server is, and the types that it has.

use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{
    SqlInfoData, SqlInfoDataBuilder, XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder,
};
use arrow_flight::sql::{
    Nullable, Searchable, SqlInfo, SqlSupportedCaseSensitivity, SqlSupportedTransaction, XdbcDataType,
};

/// The version of Arrow's format that is sent.
const FORMAT: &str = "1.3";

/// Answers of `GetSqlInfo`. **Errors**: a fault of ours.
pub fn server() -> Result<SqlInfoData, FlightError> {
    let mut data = SqlInfoDataBuilder::new();
    data.append(SqlInfo::FlightSqlServerName, "Tarn");
    data.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    data.append(SqlInfo::FlightSqlServerArrowVersion, FORMAT);
    data.append(SqlInfo::FlightSqlServerReadOnly, true);
    data.append(SqlInfo::FlightSqlServerSql, true);
    data.append(SqlInfo::FlightSqlServerSubstrait, false);
    data.append(SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32);
    data.append(SqlInfo::FlightSqlServerCancel, true);
    data.append(SqlInfo::FlightSqlServerBulkIngestion, false);
    data.append(SqlInfo::SqlDdlCatalog, false);
    data.append(SqlInfo::SqlDdlSchema, false);
    data.append(SqlInfo::SqlDdlTable, false);
    data.append(SqlInfo::SqlIdentifierCase, SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32);
    data.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    data.append(
        SqlInfo::SqlQuotedIdentifierCase,
        SqlSupportedCaseSensitivity::SqlCaseSensitivityCaseInsensitive as i32,
    );
    data.append(SqlInfo::SqlAllTablesAreSelectable, true);
    data.build()
}

/// Answers of `GetXdbcTypeInfo`: the types that columns have. **Errors**: a fault of ours.
pub fn types() -> Result<XdbcTypeInfoData, FlightError> {
    let text = Some("'".to_owned());
    let all = [
        ("BOOLEAN", XdbcDataType::XdbcBit, Some(1), None),
        ("INTEGER", XdbcDataType::XdbcInteger, Some(32), None),
        ("BIGINT", XdbcDataType::XdbcBigint, Some(64), None),
        ("DOUBLE", XdbcDataType::XdbcDouble, Some(53), None),
        ("VARCHAR", XdbcDataType::XdbcVarchar, None, text.clone()),
        ("DATE", XdbcDataType::XdbcDate, Some(10), text.clone()),
        ("TIMESTAMP", XdbcDataType::XdbcTimestamp, Some(26), text),
    ];
    let mut data = XdbcTypeInfoDataBuilder::new();
    for (name, of, column_size, literal) in all {
        let number = literal.is_none() && name != "BOOLEAN";
        data.append(XdbcTypeInfo {
            type_name: name.to_owned(),
            data_type: of,
            column_size,
            literal_prefix: literal.clone(),
            literal_suffix: literal,
            create_params: None,
            nullable: Nullable::NullabilityNullable,
            case_sensitive: name == "VARCHAR",
            searchable: Searchable::Full,
            unsigned_attribute: number.then_some(false),
            fixed_prec_scale: false,
            auto_increment: number.then_some(false),
            local_type_name: Some(name.to_owned()),
            minimum_scale: None,
            maximum_scale: None,
            sql_data_type: of,
            datetime_subcode: None,
            num_prec_radix: number.then_some(2),
            interval_precision: None,
        });
    }
    data.build()
}
