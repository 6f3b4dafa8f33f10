/** The logs of workers in that of their parent. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { LogSink } from '../../lib/log';
import { gatherLog } from '../../lib/workers/log-gatherer';

const settled = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

describe('the logs of workers', () => {
    /** A log whose reader takes bytes, or does not for a while. */
    function make() {
        const reader = { takes: true, got: '' };
        const sink = new LogSink(-1, (_fd, bytes, offset) => {
            if (!reader.takes) {
                throw Object.assign(new Error('full'), { code: 'EAGAIN' });
            }
            reader.got += bytes.subarray(offset).toString();
            return bytes.length - offset;
        });
        const worker = () => {
            const stream = new PassThrough();
            gatherLog(stream, sink);
            return stream;
        };
        return { reader, sink, worker };
    }

    it('are joined line by line, whatever pieces they come in', async () => {
        const { reader, sink, worker } = make();
        const [one, other] = [worker(), worker()];
        const text = Buffer.from('größer\n');
        one.write('first ');
        other.write('a\nb\nc');
        one.write(text.subarray(0, 3));
        await settled();
        one.write(text.subarray(3));
        other.write('c\n');
        await settled();
        sink.flush();
        assert.deepEqual(reader.got.split('\n').sort(), ['', 'a', 'b', 'cc', 'first größer']);
        sink.close();
    });

    it('lose nothing at the end: half a line of one that was killed is a line', async () => {
        const { reader, sink, worker } = make();
        const [one, other] = [worker(), worker()];
        one.end('whole\nhal');
        await once(one, 'end');
        other.end('next\n');
        await once(other, 'end');
        sink.flush();
        assert.equal(reader.got, 'whole\nhal\nnext\n');
        sink.close();
    });

    it('wait in the workers while nobody reads, and come when somebody does', async () => {
        const { reader, sink, worker } = make();
        const stream = worker();
        reader.takes = false;
        const line = `${'x'.repeat(64 << 10)}\n`;
        let lines = 0;
        while (lines < 200 && stream.write(line)) {
            lines++;
            await settled();
        }
        lines++;
        assert.ok(lines < 100, 'the worker is made to wait');
        assert.ok(sink.waiting < 4 << 20, 'little is kept in the parent');
        reader.takes = true;
        while (reader.got.length < lines * line.length) {
            await wait(5);
        }
        assert.equal(reader.got, line.repeat(lines));
        sink.close();
    });
});
