-- Has wrk print what a run has come to as one line of JSON, the last of its output.
function done(summary, latency, requests)
   local e = summary.errors
   io.write(string.format('{"micros":%d,"requests":%d,"bytes":%d,"failed":%d,"refused":%d,"p50":%d,"p99":%d}\n',
      summary.duration, summary.requests, summary.bytes, e.connect + e.read + e.write + e.timeout, e.status,
      latency:percentile(50), latency:percentile(99)))
end
