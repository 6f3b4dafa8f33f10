/**
 * To be preloaded into a program (`node -r`): sends the process a signal as it is about to ask PostgreSQL something, as
 * IMGAPI_TEST_AT_QUERY says: for the nth time (`SIGKILL:20`), or something with this text (`SIGKILL:LOCK TABLE`).
 */
import { Client } from 'pg';

const [signal, at = ''] = (process.env.IMGAPI_TEST_AT_QUERY ?? '').split(':');
let asked = 0;

type Query = (statement: unknown, ...more: unknown[]) => unknown;
const client = Client.prototype as { query: Query };
const { query } = client;
client.query = function (statement, ...more) {
    asked++;
    const text = JSON.stringify(statement);
    if (/^\d+$/.test(at) ? asked === Number(at) : text.includes(at)) {
        process.kill(process.pid, signal);
    }
    return query.call(this, statement, ...more);
};
