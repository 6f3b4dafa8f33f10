/** The bar that commands show on a terminal. */
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { Output } from '../../lib/admin/output';
import { Progress, showBytes } from '../../lib/admin/progress';

const CLEAR = '\r\u001b[K';

function terminal(columns?: number) {
    const stream = new PassThrough().setEncoding('utf8');
    return {
        screen: Object.assign(stream, { isTTY: true, ...(columns !== undefined && { columns }) }),
        /** What was written since the last call. */
        seen: () => (stream.read() as string | null) ?? '',
    };
}

describe('the progress bar', () => {
    const totals = { noun: 'files', items: 4, bytes: 4096 };

    it('shows how far the work is in items, bytes and time', () => {
        const { screen, seen } = terminal(100);
        let now = 0;
        const progress = new Progress(totals, screen, () => now);
        assert.equal(seen(), `${CLEAR}[${' '.repeat(40)}]   0%  0/4 files  0 bytes of 4.0 KiB`);
        now = 30_000;
        progress.done(1024);
        assert.equal(
            seen(),
            `${CLEAR}[${'='.repeat(10)}${' '.repeat(30)}]  25%  1/4 files  1.0 KiB of 4.0 KiB  0:01:30 left`,
        );
        progress.end();
        assert.equal(seen(), CLEAR);
        progress.advance(1);
        progress.draw();
        assert.equal(seen(), '');
    });

    it('is not drawn more often than ten times a second', () => {
        const { screen, seen } = terminal();
        let now = 0;
        const progress = new Progress(totals, screen, () => now);
        seen();
        for (now = 1; now < 100; now++) {
            progress.advance(1);
        }
        assert.equal(seen(), '');
        progress.advance(1);
        assert.match(seen(), /100 bytes of/);
    });

    it('goes by items where there are no bytes, and copes with nothing to do', () => {
        const { screen, seen } = terminal(60);
        let now = 0;
        const progress = new Progress({ noun: 'files', items: 2, bytes: 0 }, screen, () => now);
        now = 200;
        progress.done();
        assert.match(seen(), / 50% {2}1\/2 files$/);
        new Progress({ noun: 'files', items: 0, bytes: 0 }, screen, () => now).end();
        assert.match(seen(), / 0% {2}0\/0 files/);
    });

    it('fits into narrow terminals', () => {
        const { screen, seen } = terminal(30);
        new Progress(totals, screen, () => 0).draw();
        for (const line of seen().split(CLEAR)) {
            assert.ok(line.length < 30, line);
        }
    });

    it('makes way for lines, and is drawn again below them', () => {
        const { screen, seen } = terminal();
        const results = new PassThrough().setEncoding('utf8');
        const output = new Output(results, screen);
        const progress = output.progress(totals);
        seen();
        output.print('one', 'two');
        assert.equal(results.read(), 'one\ntwo\n');
        assert.ok(seen().startsWith(`${CLEAR}${CLEAR}[`));
        output.say('a word');
        assert.ok(seen().startsWith(`${CLEAR}a word\n${CLEAR}[`));
        progress.end();
        seen();
        output.say('the end');
        assert.equal(seen(), 'the end\n');
    });

    it('is not shown where nobody watches', () => {
        const messages = new PassThrough().setEncoding('utf8');
        const progress = new Output(new PassThrough(), messages).progress(totals);
        progress.done(5000);
        progress.end();
        assert.equal(messages.read(), null);
    });

    it('names numbers of bytes as people do', () => {
        assert.deepEqual([0, 1, 1023, 1024, 1536 * 1024, 20 * 1024 ** 3, 5 * 1024 ** 5].map(showBytes), [
            '0 bytes',
            '1 byte',
            '1023 bytes',
            '1.0 KiB',
            '1.5 MiB',
            '20.0 GiB',
            '5120.0 TiB',
        ]);
    });
});
