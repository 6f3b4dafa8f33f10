import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Reserve } from '../../lib/db/reserve';

describe('the room kept for deletions', () => {
    let folder: string;
    let path: string;
    beforeEach(() => {
        folder = mkdtempSync(join(tmpdir(), 'imgapi-reserve-'));
        path = join(folder, 'imgapi.reserve');
    });
    afterEach(() => rmSync(folder, { recursive: true }));

    it('is kept again a minute after its release, also when it is asked for all the time', () => {
        const reserve = new Reserve(path);
        reserve.keep(0);
        assert.equal(reserve.release(1000), true);
        for (let now = 2000; now < 60_000; now += 1000) {
            reserve.keep(now);
            assert.ok(!existsSync(path), `not yet after ${now} ms`);
        }
        reserve.keep(61_000);
        assert.ok(existsSync(path));
    });

    it('fails nobody when it cannot be kept', () => {
        mkdirSync(path);
        new Reserve(path).keep(0);
        assert.ok(existsSync(path));
    });
});
