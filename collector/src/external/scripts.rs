//! The scripts that run inside Redis: each is one atomic step, and checks first that its caller is still the one.

use redis::Script;

/// KEYS epoch, updates, bytes, trimmed, cursors, lost; ARGV epoch, position, entry, most entries, most bytes.
///
/// Entries beyond the bound go, oldest first; for each module that had not come to one it counts as lost. The newest
/// entry stays: its id is what later ones are compared with. Returns how many went.
const PUBLISH: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('FENCED another collector publishes') end
local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
if newest and tonumber(string.match(newest[1], '^%d+')) >= tonumber(ARGV[2]) then return 0 end
redis.call('XADD', KEYS[2], ARGV[2] .. '-0', 'z', ARGV[3])
local have = redis.call('INCRBY', KEYS[3], #ARGV[3])
local left = redis.call('XLEN', KEYS[2])
local gone = 0
while left > 1 and (left > tonumber(ARGV[4]) or have > tonumber(ARGV[5])) do
  local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
  local id = tonumber(string.match(oldest[1], '^%d+'))
  redis.call('XTRIM', KEYS[2], 'MAXLEN', left - 1)
  have, left, gone = have - #oldest[2][2], left - 1, gone + 1
  redis.call('HSET', KEYS[4], 'to', string.format('%.0f', id))
  local cursors = redis.call('HGETALL', KEYS[5])
  for i = 1, #cursors, 2 do
    if tonumber(cursors[i + 1]) < id then redis.call('HINCRBY', KEYS[6], cursors[i], 1) end
  end
end
if gone > 0 then
  redis.call('SET', KEYS[3], have)
  redis.call('HINCRBY', KEYS[4], 'count', gone)
end
return gone";

/// KEYS lease; ARGV token, milliseconds. 1: it is still ours.
const RENEW: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])";

/// KEYS lease; ARGV token.
const LEAVE: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])";

/// KEYS lease, updates, said, cursors, replay; ARGV token, module, cursor, replay, most findings that wait, count of
/// entries, their ids, then what was found. 0: too much waits for the collector; come again.
const SAY: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('FENCED another process works as this module') end
local first = 7 + tonumber(ARGV[6])
if #ARGV >= first and redis.call('XLEN', KEYS[3]) + #ARGV - first + 1 > tonumber(ARGV[5]) then return 0 end
for i = first, #ARGV do redis.call('XADD', KEYS[3], '*', 's', ARGV[i]) end
for i = 7, first - 1 do redis.call('XACK', KEYS[2], ARGV[2], ARGV[i]) end
redis.call('HSET', KEYS[4], ARGV[2], ARGV[3])
redis.call('HSET', KEYS[5], ARGV[2], ARGV[4])
return 1";

pub(super) struct Scripts {
    pub(super) publish: Script,
    pub(super) renew: Script,
    pub(super) leave: Script,
    pub(super) say: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            publish: Script::new(PUBLISH),
            renew: Script::new(RENEW),
            leave: Script::new(LEAVE),
            say: Script::new(SAY),
        }
    }
}
