//! An open loop whose requests are sent late: what its latencies still show.

use results::figures::{Reason, Times};
use results::verdict::allowed_lateness;

/// Removes the percentiles of the latency that the load generator's own lateness may have made: a request that is sent
/// late is answered late. `lag` is how late requests were sent although a connection was free, in the same unit, which
/// is microseconds.
pub(crate) fn without_late(
    latency: Times<Result<f64, Reason>>,
    lag: &Times<Result<f64, Reason>>,
) -> Times<Result<f64, Reason>> {
    let too_late = |lag: &Result<f64, Reason>, latency: &Result<f64, Reason>, name: &str| -> Result<(), Reason> {
        let (Ok(lag), Ok(latency)) = (lag, latency) else { return Ok(()) };
        match allowed_lateness(*latency) {
            allowed if *lag > allowed => Err(format!(
                "the load generator sent requests {lag:.0} us late at {name}, more than {allowed:.0} us: the larger of \
                 100 us and a quarter of this latency"
            )),
            _ => Ok(()),
        }
    };
    let at_p99 = too_late(&lag.p99, &latency.p99, "p99");
    Times {
        p90: too_late(&lag.p90, &latency.p90, "p90").and(latency.p90),
        p999: at_p99.clone().and(latency.p999),
        p99: at_p99.and(latency.p99),
        ..latency
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(p90: f64, p99: f64) -> Times<Result<f64, Reason>> {
        Times { p90: Ok(p90), p99: Ok(p99), ..Times::all(Ok(9_000.0)) }
    }

    #[test]
    fn percentiles_that_lateness_may_have_made_are_removed() {
        let kept = |lag: Times<_>, latency: Times<_>| {
            let times = without_late(latency, &lag);
            assert_eq!((times.p50, times.max), (Ok(9_000.0), Ok(9_000.0)));
            (times.p90.is_ok(), times.p99.is_ok(), times.p999.is_ok())
        };
        assert_eq!(kept(times(50.0, 100.0), times(60.0, 110.0)), (true, true, true), "100 us are always allowed");
        assert_eq!(kept(times(50.0, 101.0), times(60.0, 110.0)), (true, false, false));
        assert_eq!(kept(times(250.0, 250.0), times(1_000.0, 1_000.0)), (true, true, true), "a quarter");
        assert_eq!(kept(times(251.0, 250.0), times(1_000.0, 1_000.0)), (false, true, true));
        assert_eq!(kept(Times::all(Err("few".into())), times(1.0, 1.0)), (true, true, true), "lateness is not known");
    }

    #[test]
    fn the_reason_has_the_lateness_and_what_is_allowed() {
        let why = without_late(times(60.0, 2_000.0), &times(50.0, 700.0)).p999.unwrap_err();
        assert!(why.starts_with("the load generator sent requests 700 us late at p99, more than 500 us"), "{why}");
        let few = without_late(Times { p99: Err("few".into()), ..times(1.0, 1.0) }, &times(500.0, 500.0));
        assert_eq!(few.p99, Err("few".into()));
    }
}
