import assert from 'node:assert/strict';
import { openSqlite, type SqlValue } from '../../lib/db/sqlite';

describe('the binding of SQLite', () => {
    it('refuses what SQLite has no type for, instead of ending the process', () => {
        const sqlite = openSqlite(':memory:');
        const statement = sqlite.prepare('SELECT ?');
        // Old records can have anything in a field that is a text by its type.
        for (const value of [true, undefined, {}] as unknown as SqlValue[]) {
            assert.throws(() => statement.get([value]), TypeError);
        }
        assert.deepEqual(statement.get(['text']), ['text']);
        sqlite.close();
    });
});
