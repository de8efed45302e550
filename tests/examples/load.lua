-- For wrk with one connection per thread: wrk -tN -cN -s load.lua URL -- COUNT WAIT_MS
-- Each thread sends COUNT requests and stops (0: as long as wrk runs), waits WAIT_MS after a refusal, and
-- counts answers by status and time. The last line that is printed is JSON for the test.
local ffi = require("ffi")
ffi.cdef [[
typedef struct { long s; long ns; } timespec_t;
int clock_gettime(int clock, timespec_t *now);
]]
local CLOCK_MONOTONIC = 1
local BUCKET = math.log(1.02) -- a bucket is 2 % wide
local BUCKETS = 1000          -- the last one begins at 400 s
local now = ffi.new("timespec_t")
local threads = {}

local function us()
    ffi.C.clock_gettime(CLOCK_MONOTONIC, now)
    return tonumber(now.s) * 1e6 + tonumber(now.ns) / 1e3
end

function setup(thread)
    table.insert(threads, thread)
end

function init(args)
    count = tonumber(args[1] or "0")
    wait_ms = tonumber(args[2] or "0")
    sent, answered, incomplete = 0, 0, 0
    refused = false
end

function delay()
    return refused and wait_ms or 0
end

function request()
    sent = sent + 1
    begin = us()
    return wrk.format("GET")
end

-- done() can read a thread's globals that are numbers, so a bucket is one of those.
local function add(name)
    _G[name] = (_G[name] or 0) + 1
end

function response(status, headers, body)
    local bucket = math.floor(math.log(math.max(us() - begin, 1)) / BUCKET)
    add("b" .. status .. "_" .. math.min(bucket, BUCKETS))
    add("n" .. status)
    answered = answered + 1
    refused = status == 503
    if #body ~= tonumber(headers["Content-Length"]) or body:sub(-1) ~= "\n"
        or (refused and not headers["Retry-After"]) then
        incomplete = incomplete + 1
    end
    if answered == count then
        wrk.thread:stop()
    end
end

local function total(name)
    local sum = 0
    for _, thread in ipairs(threads) do
        sum = sum + (thread:get(name) or 0)
    end
    return sum
end

local function describe(status)
    local count = total("n" .. status)
    local seen, p50, p99, max = 0, nil, nil, 0
    for bucket = 0, count > 0 and BUCKETS or -1 do
        local here = total("b" .. status .. "_" .. bucket)
        seen = seen + here
        local time = math.exp((bucket + 1) * BUCKET)
        p50 = p50 or (seen >= count * 0.5 and time)
        p99 = p99 or (seen >= count * 0.99 and time)
        max = here > 0 and time or max
    end
    return string.format('"%d": {"count": %d, "p50_us": %.0f, "p99_us": %.0f, "max_us": %.0f}', status,
        count, p50 or 0, p99 or 0, max)
end

function done(summary)
    local errors = summary.errors
    print(string.format(
        '{"sent": %d, "answered": %d, "incomplete": %d, "seconds": %.3f, ' ..
        '"errors": {"connect": %d, "read": %d, "write": %d, "timeout": %d}, "status": {%s, %s}}',
        total("sent"), total("answered"), total("incomplete"), summary.duration / 1e6, errors.connect,
        errors.read, errors.write, errors.timeout, describe(200), describe(503)))
end
