-- For wrk: sends the requests of a file (load/requests.ts) in turn, and tells the result as JSON.
-- Arguments: the file, then the value of the Host header.

local requests = {}
local count = 0

-- Every request is made ready once: putting it together each time would make the client the slower side.
function init(args)
  wrk.headers['Host'] = args[2]
  for line in io.lines(args[1]) do
    local method, path, name, value = line:match('^(%u+)\t(%S+)\t([^:]*):? ?(.*)$')
    requests[#requests + 1] = wrk.format(method, path, name ~= '' and { Host = args[2], [name] = value } or nil)
  end
end

function request()
  count = count + 1
  return requests[(count - 1) % #requests + 1]
end

-- Microseconds come in, as wrk has them.
function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    'RESULT {"microseconds":%d,"requests":%d,"bytes":%d,"p50":%d,"p99":%d,"errors":%d}',
    summary.duration, summary.requests, summary.bytes, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
