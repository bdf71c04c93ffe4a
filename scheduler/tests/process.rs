//! The scheduler as a process: what it tells of itself while it waits for its turn.

#[path = "../../component/tests/common/scraper.rs"]
mod scraper;

use scheduler::Options;

#[test]
fn one_that_waits_for_its_turn_is_well_and_tells_its_metrics() {
    let run = |words| scheduler::run(Options::parse_words(words).expect("flags"));
    let flags = ["--leader-elect-resource-name=other"];
    scraper::look_at(("kube-scheduler", &flags), run, |scraper| async move {
        for path in ["/healthz", "/livez", "/readyz"] {
            assert_eq!(
                scraper.get(path, "").await,
                (200, "ok".to_owned()),
                "{path}"
            );
        }
        let (code, text) = scraper.get("/metrics", "").await;
        assert_eq!(code, 200);
        for line in [
            "leader_election_master_status{name=\"other\"} 0\n",
            "scheduler_pending_pods{queue=\"active\"} 0\n",
            "# TYPE scheduler_schedule_attempts_total counter\n",
            "# TYPE process_cpu_seconds_total counter\n",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        assert_eq!(scraper.get("/configz", "").await.0, 403);
        // Nobody can tell whose it is.
        assert_eq!(scraper.get("/configz", "token").await.0, 401);
    });
}
