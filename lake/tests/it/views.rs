//! Generated views.

use crate::events::{lake_in, small};
use tarn_lake::views::{Dialect, create_views};

#[tokio::test]
async fn views_have_underscores() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    small(&lake).await;
    let tables = lake.tables().await.unwrap();
    let duck = create_views(&lake, &tables, Dialect::DuckDb);
    assert!(duck.contains("CREATE OR REPLACE VIEW \"api_activity\" AS SELECT"), "{duck}");
    assert!(duck.contains("  \"actor.user.name\" AS \"actor_user_name\",\n"), "{duck}");
    assert!(duck.contains(&format!("FROM delta_scan('{}/tables/api_activity');", folder.path().display())), "{duck}");
    let spark = create_views(&lake, &tables, Dialect::Spark);
    assert!(spark.contains("`actor.user.name` AS `actor_user_name`"), "{spark}");
    let files = create_views(&lake, &tables, Dialect::DuckDbFiles);
    assert!(files.contains("/tables/api_activity/event_day=2025-03-01/part-"), "{files}");
}
