// java TomcatServer.java PORT LIMIT: the handler of the zoo for Tomcat, embedded.
import jakarta.servlet.http.*;
import java.io.*;
import org.apache.catalina.startup.Tomcat;

public class TomcatServer {
    static class Echo extends HttpServlet {
        @Override protected void service(HttpServletRequest request, HttpServletResponse answer) throws IOException {
            if (request.getMethod().equals("POST")) request.getInputStream().readAllBytes();
            byte[] body = ("path=" + request.getRequestURI() + "\n").getBytes();
            answer.setContentType("text/plain");
            answer.setContentLength(body.length);
            answer.getOutputStream().write(body);
        }
    }

    public static void main(String[] args) throws Exception {
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(System.getProperty("java.io.tmpdir"));
        tomcat.setPort(Integer.parseInt(args[0]));
        tomcat.getConnector().setProperty("address", "127.0.0.1");
        tomcat.getConnector().setProperty("keepAliveTimeout", args[1] + "000");
        var context = tomcat.addContext("", null);
        Tomcat.addServlet(context, "echo", new Echo());
        context.addServletMappingDecoded("/*", "echo");
        tomcat.start();
        tomcat.getServer().await();
    }
}
