/** A line of pretty-printed JSON: its indentation, and the key with the space after its colon. */
const LINE = /^ *(?:("(?:[^"\\]|\\.)*":) )?/;

/** Takes the white space out of pretty-printed JSON that comes in pieces, each of them whole lines or their ends. */
export async function* compacted(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const piece of pieces) {
        const lines = piece.toString().split('\n');
        yield Buffer.from(lines.map((line) => line.replace(LINE, '$1')).join(''));
    }
}
