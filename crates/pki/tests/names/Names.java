import javax.security.auth.x500.X500Principal;
import java.io.*;
import java.nio.charset.StandardCharsets;
import java.util.*;

public class Names {
    static byte[] tlv(int tag, byte[]... parts) throws IOException {
        ByteArrayOutputStream b = new ByteArrayOutputStream();
        for (byte[] p : parts) b.write(p);
        byte[] c = b.toByteArray();
        ByteArrayOutputStream o = new ByteArrayOutputStream();
        o.write(tag);
        if (c.length < 128) o.write(c.length);
        else if (c.length < 256) { o.write(0x81); o.write(c.length); }
        else { o.write(0x82); o.write(c.length >> 8); o.write(c.length); }
        o.write(c);
        return o.toByteArray();
    }
    static byte[] oid(String s) throws IOException {
        String[] p = s.split("\\.");
        ByteArrayOutputStream b = new ByteArrayOutputStream();
        arc(b, Long.parseLong(p[0]) * 40 + Long.parseLong(p[1]));
        for (int i = 2; i < p.length; i++) arc(b, Long.parseLong(p[i]));
        return tlv(6, b.toByteArray());
    }
    static void arc(ByteArrayOutputStream b, long v) {
        int n = 1; while (n < 9 && (v >> (7 * n)) != 0) n++;
        for (int i = n - 1; i >= 0; i--) b.write((int) ((v >> (7 * i)) & 0x7f) | (i > 0 ? 0x80 : 0));
    }
    static byte[] ava(String o, int tag, byte[] v) throws IOException { return tlv(0x30, oid(o), tlv(tag, v)); }
    static byte[] ava(String o, String v) throws IOException { return ava(o, 0x0c, v.getBytes(StandardCharsets.UTF_8)); }
    static byte[] p(String o, String v) throws IOException { return ava(o, 0x13, v.getBytes(StandardCharsets.US_ASCII)); }
    static byte[] rdn(byte[]... avas) throws IOException { return tlv(0x31, avas); }
    static byte[] name(byte[]... rdns) throws IOException { return tlv(0x30, rdns); }
    static void show(String what, byte[] der) {
        String n;
        try { n = new X500Principal(der).getName(X500Principal.RFC2253); } catch (Exception e) { n = "!" + e; }
        StringBuilder h = new StringBuilder();
        for (byte x : der) h.append(String.format("%02x", x));
        StringBuilder q = new StringBuilder();
        for (char c : n.toCharArray()) { if (c < 32 || c == 127) q.append(String.format("{%04x}", (int) c)); else q.append(c); }
        System.out.println(what + "\t" + h + "\t" + q);
    }
    public static void main(String[] a) throws Exception {
        System.setOut(new PrintStream(new FileOutputStream(FileDescriptor.out), true, "UTF-8"));
        String CN = "2.5.4.3", C = "2.5.4.6", O = "2.5.4.10", OU = "2.5.4.11", L = "2.5.4.7", ST = "2.5.4.8";
        show("plain", name(rdn(p(C, "DE")), rdn(ava(O, "Stadt Musterhausen")), rdn(ava(OU, "Meldebehörde")), rdn(ava(CN, "GRP: Bürgeramt"))));
        show("all short keywords", name(rdn(ava("0.9.2342.19200300.100.1.25", 0x16, "example".getBytes())), rdn(p(C, "DE")), rdn(ava(ST, "Bayern")), rdn(ava(L, "München")), rdn(ava("2.5.4.9", "Hauptstraße 1")), rdn(ava(O, "O")), rdn(ava(OU, "OU")), rdn(ava("0.9.2342.19200300.100.1.1", "uid1")), rdn(ava(CN, "n"))));
        show("empty name", name());
        show("empty value", name(rdn(ava(CN, ""))));
        for (String o : new String[]{"2.5.4.4 surname", "2.5.4.5 serialNumber", "2.5.4.12 title", "2.5.4.13 description", "2.5.4.17 postalCode", "2.5.4.42 givenName", "2.5.4.43 initials", "2.5.4.44 generation", "2.5.4.46 dnQualifier", "2.5.4.65 pseudonym", "2.5.4.97 organizationIdentifier", "1.3.6.1.4.1.42.2.11.2.1 ip", "2.5.4.15 businessCategory", "1.2.3.4.5 private"}) {
            String[] s = o.split(" ");
            show(s[1], name(rdn(p(C, "DE")), rdn(p(s[0], "12345"))));
        }
        show("email ia5", name(rdn(ava("1.2.840.113549.1.9.1", 0x16, "a@b.example".getBytes())), rdn(ava(CN, "x"))));
        show("multi valued", name(rdn(p(C, "DE")), rdn(ava(CN, "Alice"), ava("0.9.2342.19200300.100.1.1", "7"))));
        show("multi valued with oid", name(rdn(p(C, "DE")), rdn(ava(CN, "Alice"), p("2.5.4.5", "7"), ava(OU, "x"))));
        for (String v : new String[]{"a,b", "a+b", "a\"b", "a\\b", "a<b>", "a;b", "a=b", "#a", "a#b", " a", "a ", "  a  ", " ", "   ", "a  b", "a\u0000b", "a\tb", "a\nb", "a\r", "\ra", "\u0001", "ä\u20ac\u00df", "\ud83d\ude00", "a\u00a0", "\u2028x", "\\", ",", "a\u007f", "a/b:c'd(e)f?g!h@i*j&k%l$m|n~o^p`q_r{s}t[u]"})
            show("escape", name(rdn(ava(CN, v))));
        for (String v : new String[]{"a,b", " a ", "a=b", "a.b-c/d:e?f+g'h(i)"})
            show("escape printable", name(rdn(p(CN, v))));
        show("t61 ascii", name(rdn(ava(CN, 0x14, "abc".getBytes()))));
        show("t61 latin1", name(rdn(ava(CN, 0x14, new byte[]{'M', (byte) 0xfc, 'n'}))));
        show("bmp", name(rdn(ava(CN, 0x1e, "Mün".getBytes(StandardCharsets.UTF_16BE)))));
        show("universal", name(rdn(ava(CN, 0x1c, new byte[]{0, 0, 0, 'a'}))));
        show("ia5", name(rdn(ava(CN, 0x16, "abc".getBytes()))));
        show("general", name(rdn(ava(CN, 0x1b, "abc".getBytes()))));
        show("numeric", name(rdn(ava(CN, 0x12, "123".getBytes()))));
        show("visible", name(rdn(ava(CN, 0x1a, "abc".getBytes()))));
        show("octets", name(rdn(ava(CN, 0x04, new byte[]{1, 2, (byte) 0xab}))));
        show("integer", name(rdn(ava(CN, 0x02, new byte[]{5}))));
        show("printable with star", name(rdn(ava(CN, 0x13, "*.example_x@y".getBytes()))));
        show("utf8 broken", name(rdn(ava(CN, 0x0c, new byte[]{'a', (byte) 0xff, 'b'}))));
        show("printable with utf8", name(rdn(ava(CN, 0x13, "Mü".getBytes(StandardCharsets.UTF_8)))));
        show("unknown oid utf8", name(rdn(ava("1.2.3.4.5.99999", "ä")), rdn(ava(CN, "x"))));
        show("unknown oid sequence", name(rdn(tlv(0x30, oid("1.2.3.4"), tlv(0x30, tlv(2, new byte[]{1})))) ));
        char[] big = new char[300]; Arrays.fill(big, 'x');
        show("long value", name(rdn(p("1.2.3.4", new String(big)))));
    }
}
