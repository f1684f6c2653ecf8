import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.dataformat.smile.SmileFactory;
import com.fasterxml.jackson.dataformat.smile.SmileGenerator;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;

/**
 * Jackson's own Smile codec behind a pipe; one process for many documents.
 *
 * A question: one byte 'w' (write Smile from JSON) or 'r' (read Smile, give JSON), one byte of the options below, four
 * bytes of length (big-endian), the document in UTF-8 or Smile. The answer: one byte 0 (well) or 1 (Jackson raised), four
 * bytes of length, the document or the exception's text. It ends with its input.
 */
public class Oracle {
    static final int SHARED_NAMES = 1;
    static final int SHARED_VALUES = 2;
    static final int RAW_BINARY = 4;
    static final int FLOATS_32 = 8;
    static final int FLOATS_DECIMAL = 16;
    static final int TEXT_AS_BINARY = 32;
    static final int END_MARKER = 64;

    public static void main(String[] none) throws IOException {
        DataInputStream in = new DataInputStream(System.in);
        DataOutputStream out = new DataOutputStream(System.out);
        while (true) {
            int question = in.read();
            if (question < 0) {
                return;
            }
            int options = in.readUnsignedByte();
            byte[] document = new byte[in.readInt()];
            in.readFully(document);
            byte[] answer;
            int status = 0;
            try {
                answer = question == 'w' ? write(document, options) : read(document);
            } catch (IOException | RuntimeException refused) {
                status = 1;
                answer = refused.toString().getBytes(StandardCharsets.UTF_8);
            }
            out.writeByte(status);
            out.writeInt(answer.length);
            out.write(answer);
            out.flush();
        }
    }

    static byte[] write(byte[] json, int options) throws IOException {
        SmileFactory factory = new SmileFactory();
        factory.configure(SmileGenerator.Feature.CHECK_SHARED_NAMES, (options & SHARED_NAMES) != 0);
        factory.configure(SmileGenerator.Feature.CHECK_SHARED_STRING_VALUES, (options & SHARED_VALUES) != 0);
        factory.configure(SmileGenerator.Feature.ENCODE_BINARY_AS_7BIT, (options & RAW_BINARY) == 0);
        factory.configure(SmileGenerator.Feature.WRITE_END_MARKER, (options & END_MARKER) != 0);
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (JsonParser parser = new JsonFactory().createParser(json);
                JsonGenerator generator = factory.createGenerator(bytes)) {
            copy(parser, generator, options);
        }
        return bytes.toByteArray();
    }

    static byte[] read(byte[] smile) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (JsonParser parser = new SmileFactory().createParser(smile);
                JsonGenerator generator = new JsonFactory().createGenerator(bytes)) {
            copy(parser, generator, 0);
        }
        return bytes.toByteArray();
    }

    static void copy(JsonParser parser, JsonGenerator generator, int options) throws IOException {
        int depth = 0;
        do {
            JsonToken token = parser.nextToken();
            if (token == null) {
                throw new EOFException("no whole value");
            }
            depth += token.isStructStart() ? 1 : token.isStructEnd() ? -1 : 0;
            if (token == JsonToken.VALUE_NUMBER_INT) {
                copyInteger(parser.getBigIntegerValue(), generator);
            } else if (token == JsonToken.VALUE_NUMBER_FLOAT && (options & FLOATS_32) != 0) {
                generator.writeNumber(parser.getFloatValue());
            } else if (token == JsonToken.VALUE_NUMBER_FLOAT && (options & FLOATS_DECIMAL) != 0) {
                generator.writeNumber(parser.getDecimalValue());
            } else if (token == JsonToken.VALUE_STRING && (options & TEXT_AS_BINARY) != 0) {
                generator.writeBinary(parser.getText().getBytes(StandardCharsets.UTF_8));
            } else {
                generator.copyCurrentEvent(parser);
            }
        } while (depth > 0);
        if (parser.nextToken() != null) {
            throw new IOException("more than one value");
        }
    }

    /** By value, as data binding does: Jackson's JSON parser calls every number of 19 digits a BigInteger. */
    static void copyInteger(BigInteger number, JsonGenerator generator) throws IOException {
        if (number.bitLength() < 64) {
            generator.writeNumber(number.longValue());
        } else {
            generator.writeNumber(number);
        }
    }
}
